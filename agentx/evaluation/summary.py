"""What one cell amounts to: `summary.json`, made from its episodes alone.

The same episodes give the same bytes, in whatever order and over however many interrupted runs they were finished;
only what is under "timing" and "spending" depends on how they came about: on the machine, on caches, on lost episodes.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from agentx.errors import UserError
from agentx.evaluation import metrics, spending
from agentx.evaluation.statistics import CONFIDENCE, mean_interval, success_interval
from agentx.evaluation.store import Episode, ResultStore
from agentx.trajectory import Outcome, Trajectory

SUMMARY = "summary.json"
PLAN = "plan.json"
FORMAT = 1


class ScoredTask(Protocol):
    """What scoring needs of a task."""

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def success_threshold(self) -> float: ...

    def aggregate(self, trajectories: Sequence[Trajectory]) -> dict[str, float]: ...


@dataclass(frozen=True)
class Plan:
    """What a cell set out to do: kept beside the episodes, so that a cell whose run died can be scored without
    opening its task. The task's own metrics (`aggregate`) are then missing."""

    name: str
    label: str
    success_threshold: float
    expected: list[Episode] = field(default_factory=list)

    def aggregate(self, trajectories: Sequence[Trajectory]) -> dict[str, float]:
        return {}

    @classmethod
    def of(cls, task: ScoredTask, expected: Iterable[Episode]) -> Plan:
        return cls(task.name, task.label, task.success_threshold, sorted(expected))

    def write(self, directory: Path) -> None:
        record = {
            "name": self.name,
            "label": self.label,
            "success_threshold": self.success_threshold,
            "expected": self.expected,
        }
        write_whole(directory / PLAN, json.dumps(record) + "\n")

    @classmethod
    def read(cls, directory: Path) -> Plan:
        """Raises OSError without a plan and UserError for a broken one."""
        path = directory / PLAN
        text = path.read_text(encoding="utf-8")
        try:
            record = json.loads(text)
            expected = [(str(sample), int(trial)) for sample, trial in record["expected"]]
            return cls(str(record["name"]), str(record["label"]), float(record["success_threshold"]), expected)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not a plan ({error}); run the cell again to write it anew") from error


def summarise(trajectories: Iterable[Trajectory], task: ScoredTask, expected: Iterable[Episode]) -> dict[str, Any]:
    """Score the `expected` episodes among `trajectories`, which may include infrastructure errors.

    An expected episode without a scored result is missing: it is counted and named, never scored as a failure.
    Results that were not expected are left out. Numbers that do not exist (a mean over nothing) are None.
    """
    planned = set(expected)
    results: dict[Episode, Trajectory] = {}
    errors: dict[Episode, Trajectory] = {}
    for trajectory in trajectories:
        key = (trajectory.sample, trajectory.trial)
        if key in planned:
            (errors if trajectory.outcome is Outcome.INFRASTRUCTURE_ERROR else results).setdefault(key, trajectory)
    scored = [results[key] for key in sorted(results)]
    missing = sorted(planned - set(results))
    failed = [errors[key] for key in missing if key in errors]
    groups = metrics.by_sample(scored)
    summary = {
        "format": FORMAT,
        "task": task.name,
        "label": task.label,
        "n": len(scored),
        "samples": len(groups),
        "expected": len(planned),
        "complete": not missing,
        "missing": [list(key) for key in missing],
        "infrastructure_errors": len(failed),
        "infrastructure_error_messages": _counted(error.limit for error in failed),
        "confidence": CONFIDENCE,
        "successes": sum(trajectory.success for trajectory in scored),
        "success_rate": success_interval([[t.success for t in trials] for trials in groups]).to_dict(),
        "reward": mean_interval([[t.reward for t in trials] for trials in groups]).to_dict(),
        "pass_k": metrics.pass_k(scored),
        "task_metrics": dict(sorted(task.aggregate(scored).items())) if scored else {},
        "outcomes": metrics.outcome_counts(scored),
        "by_kind": metrics.success_by_kind(scored),
        "failures": metrics.failure_rates(scored),
        "judge": metrics.judge_agreement(scored, task.success_threshold),
        "notices": metrics.notice_counts(scored),
        "cost": metrics.cost(scored),
        "timing": metrics.timing(scored),
    }
    return _finite(summary)


def score_cell(directory: str | Path, task: ScoredTask | None = None) -> dict[str, Any]:
    """Score what lies in a cell's directory; without a task by the cell's own plan.

    Raises OSError for a directory without a plan and UserError for a broken one.
    """
    plan = Plan.read(Path(directory))
    store = ResultStore(directory)
    trajectories = store.trajectories()
    summary = summarise(trajectories + store.infrastructure_errors(), task or plan, plan.expected)
    planned = set(plan.expected)
    scored = [trajectory for trajectory in trajectories if (trajectory.sample, trajectory.trial) in planned]
    summary["stopped"] = None if summary["complete"] else spending.read_stopped(Path(directory))
    summary["not_repeatable"] = spending.not_repeatable(Path(directory))
    summary["spending"] = _finite(spending.account(Path(directory), scored))
    return summary


def summarise_cell(directory: str | Path, task: ScoredTask | None = None) -> dict[str, Any]:
    """Score a cell as `score_cell` does and write its summary.json."""
    summary = score_cell(directory, task)
    write_summary(Path(directory), summary)
    return summary


def write_summary(directory: Path, summary: Mapping[str, Any]) -> Path:
    """Write summary.json whole or not at all."""
    path = directory / SUMMARY
    write_whole(path, json.dumps(summary, indent=1, sort_keys=True, allow_nan=False) + "\n")
    return path


def write_whole(path: Path, text: str) -> None:
    """Readers see the old file or the new one, never a part. Lone surrogates in model output are written escaped."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    temporary.replace(path)


def _counted(messages: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for message in sorted(messages):
        counts[message] = counts.get(message, 0) + 1
    return counts


def _finite(value: Any) -> Any:
    """JSON has no nan: what does not exist is null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
