from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def record(number: int, text: str = "", status: str = "verified") -> dict[str, Any]:
    return {
        "id": f"train-{number}",
        "source": "household-constructed",
        "conversations": [
            {"from": "human", "value": f"You see a mug {number}."},
            {"from": "gpt", "value": f"THOUGHT: {text or 'I take it.'}\nACTION: take mug {number}", "loss": True},
            {"from": "human", "value": f"You take mug {number}."},
            {"from": "gpt", "value": "THOUGHT: Done.\nACTION: stop", "loss": True},
        ],
        "metadata": {
            "task": "household",
            "teacher": "simulated",
            "verdict": {"status": status, "reward": 1.0, "replaced": [0]},
            "turns": [{"by": "simulated", "said": "Nothing happens.", "agrees": False, "real": "You take it."}, {}],
        },
    }


@pytest.fixture
def records() -> Callable[..., dict[str, Any]]:
    return record


@pytest.fixture
def hostile() -> str:
    return HOSTILE


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Three constructed trajectories, one of which tries to be markup."""
    return write(tmp_path / "made.jsonl", [record(1), record(2, HOSTILE, "repaired"), record(3)])


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The same samples by another model."""
    return write(tmp_path / "other.jsonl", [record(n, "A different thought.") for n in (1, 2, 3)])


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
