"""Cells as a run leaves them: config.yaml, plan.json, episodes.jsonl, summary.json."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentx.evaluation.store import ResultStore
from agentx.evaluation.summary import Plan, summarise_cell
from agentx.trajectory import Candidate, ModelCall, Outcome, Purpose, Step, Trajectory, Verdict
from agentx.trajectory import Path as Attempt

MakeCell = Callable[..., Path]


def trajectory(sample: str, reward: float, text: str = "go to desk 1") -> Trajectory:
    candidates = [Candidate(f"THOUGHT: {text}\nACTION: {text}", text, text), Candidate(text, None, duplicate=True)]
    step = Step(0, candidates, 0, text, reward, True, Verdict.VALID, 0, True, executed=text + "!", notices=[text])
    opening = [{"role": "user", "content": text}]
    attempt = Attempt(0, opening, [text], [step], reward, Outcome.COMPLETED, judged_success=True)
    calls = [
        ModelCall(Purpose.ACT, "policy", 0, 0, 0, 1, text, 100, 50, 20, 0.1, "stop"),
        *[
            ModelCall(purpose, "judge", path, step, 0, 1, text, 30, 0, 1, 0.1, "stop", opening)
            for purpose, path, step in (
                (Purpose.PLAN, 0, 0),
                (Purpose.SUBTASK_DONE, 0, 0),
                (Purpose.TASK_DONE, 0, 1),
                (Purpose.SCORE, 7, 0),
            )
        ],
    ]
    return Trajectory(
        sample,
        0,
        [attempt],
        calls,
        0,
        reward,
        reward >= 1,
        Outcome.COMPLETED,
        notices={text: 1},
        metadata={"kind": text},
    )


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    return tmp_path / "cells"


@pytest.fixture
def make_cell(cells: Path) -> MakeCell:
    def make(
        name: str,
        rewards: Sequence[float] = (1.0, 0.0),
        label: str = "household (generated)",
        text: str = "go to desk 1",
        error: str = "",
        summarised: bool = True,
        expected: int | None = None,
        **config: Any,
    ) -> Path:
        directory = cells / name
        store = ResultStore(directory)
        resolved = {
            "model": {"name": "tiny"},
            "tuning": {"name": "lora"},
            "data": {"agent": ["experts"], "general": ["some/chats.json"]},
            "task": {"name": "household"},
            "method": {"name": "react", "num_path": 1, "num_branch": 1},
            "lambda": 0.5,
            "num_path": None,
            "num_branch": None,
            "seed": 0,
        }
        (directory / "config.yaml").write_text(yaml.safe_dump({**resolved, **config}))
        samples = [f"s{i}" for i in range(expected if expected is not None else len(rewards) + bool(error))]
        Plan("household", label, 1.0, [(sample, 0) for sample in samples]).write(directory)
        for i, reward in enumerate(rewards):
            store.append(trajectory(f"s{i}", reward, text))
        if error:
            store.append(Trajectory(f"s{len(rewards)}", outcome=Outcome.INFRASTRUCTURE_ERROR, limit=error))
        if summarised:
            summarise_cell(directory)
        return directory

    return make
