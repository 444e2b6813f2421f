"""Constructing against a simulated teacher that answers from a recording, and through run.py as a process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from agentx import config as configuration
from agentx.construction.simulated_teacher import SimulatedTeacher
from agentx.construction.workshops import workshop
from agentx.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = Path(__file__).parent / "recordings"
KEY = "sk-construct-secret-0123456789"


@pytest.fixture()
def configured() -> Callable[..., configuration.Config]:
    """The configuration of `job=construct` with some overrides."""

    def make(*overrides: str) -> configuration.Config:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return configuration.from_hydra(compose("config", overrides=["job=construct", *overrides]))

    return make


@pytest.fixture()
def simulated_teacher(configured: Callable[..., configuration.Config]) -> Callable[..., SimulatedTeacher]:
    """The simulated teacher for the configuration with these overrides."""

    def make(*overrides: str, size: int, **options: Any) -> SimulatedTeacher:
        config = configured(*overrides)
        made = workshop(config.task.name, config.task, config.job, config.data.seed)
        return SimulatedTeacher(made, config.seed, size, **options)

    return make


@pytest.fixture(scope="session")
def recording() -> Callable[[str], dict[int, str]]:
    """A recorded teacher: what was said to each request, by the request's seed."""

    def read(name: str) -> dict[int, str]:
        lines = (RECORDINGS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        return {record["seed"]: record["reply"] for record in map(json.loads, lines) if "seed" in record}

    return read


def _teacher(url: str) -> list[str]:
    return ["teacher=gpt-4", f"teacher.base_url={url}", "teacher.api_name=simulated-teacher"] if url else []


@dataclass(frozen=True)
class Done:
    """What a run left: exit code and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture()
def construct(
    tmp_path: Path,
    configured: Callable[..., configuration.Config],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Done]:
    """`job=construct …` in this process, told as run.py tells it, in a directory of the test's own; `url` is where the
    teacher answers."""
    from agentx.jobs.construct import run

    def start(*arguments: str, url: str = "", key: str = KEY) -> Done:
        monkeypatch.setenv("OPENAI_API_KEY", key)
        capsys.readouterr()
        error, code = "", 0
        try:
            run(configured(*_teacher(url), f"paths.output={tmp_path}/out", *arguments))
        except UserError as known:
            error, code = f"error: {known}\n", known.exit_code
        written = capsys.readouterr()
        return Done(code, written.out, written.err + error)

    return start


@pytest.fixture()
def construct_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """The same as a command line, for a process of its own."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(ROOT)

    def make(*arguments: str, url: str = "", job: str = "construct") -> list[str]:
        return [sys.executable, "run.py", f"job={job}", *_teacher(url), f"paths.output={tmp_path}/out", *arguments]

    return make


@pytest.fixture()
def made(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """The records of the one file that matches a pattern below the test's output."""

    def read(pattern: str) -> list[dict[str, Any]]:
        (path,) = (tmp_path / "out").glob(pattern)
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    return read
