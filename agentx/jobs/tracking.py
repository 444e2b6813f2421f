"""One Weights & Biases run per cell: configuration, curves, summary, a table of trajectories, the adapter as artifact.

A cell that fails shows as failed. A cell that was finished and tracked before opens no second run.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agentx.config import Config
from agentx.errors import UserError
from agentx.evaluation.module import scalars
from agentx.evaluation.store import ResultStore
from agentx.evaluation.summary import SUMMARY, write_whole
from agentx.jobs import ranks
from agentx.trajectory import Trajectory
from agentx.tuning.adapters import AdapterCard

log = logging.getLogger(__name__)

RECORD = "wandb.json"
COLUMNS: list[str | int] = [
    *("sample", "trial", "outcome", "success", "reward"),
    *("paths", "steps", "calls", "tokens", "trajectory"),
]
INTERRUPTED = 130


@contextmanager
def tracked(config: Config, directory: Path, *, finished: bool = False) -> Iterator[CellRun | None]:
    """The cell's run where the configuration asks for W&B; `finished`: the cell was, before this job."""
    if not config.logger.uses("wandb") or not ranks.is_first() or (finished and _is_tracked(directory)):
        yield None
        return
    run = CellRun(config, directory)
    try:
        yield run
    except Exception as error:
        run.finish(1, str(error))
        raise
    except BaseException:
        run.finish(INTERRUPTED, "interrupted")
        raise
    run.finish(0)


def track_failure(config: Config, directory: Path, error: Exception) -> None:
    """A run that only says that the cell failed before it was known what it measures."""
    if config.logger.uses("wandb") and ranks.is_first():
        CellRun(config, directory).finish(1, str(error))


def _is_tracked(directory: Path) -> bool:
    try:
        return bool(json.loads((directory / RECORD).read_text(encoding="utf-8"))["complete"])
    except (OSError, ValueError, KeyError):
        return False


class CellRun:
    """An open run of W&B. Lightning's loggers of the same process write to it."""

    def __init__(self, config: Config, directory: Path) -> None:
        import wandb

        self.directory = directory
        settings = config.logger
        # In a sweep of W&B's the agent has chosen the run; else the cell names it, so that going on with the cell goes
        # on with the run.
        name = None if os.environ.get("WANDB_SWEEP_ID") else directory.name.rpartition("-")[2]
        directory.mkdir(parents=True, exist_ok=True)
        try:
            self.run = wandb.init(
                project=settings.project,
                group=settings.group,
                tags=settings.tags,
                mode="offline" if settings.mode == "offline" else None,  # else WANDB_MODE may say so
                dir=directory,
                id=name,
                name=directory.name,
                resume="allow" if name and settings.mode == "online" else None,
                config=config.resolved,
                reinit="finish_previous",
                settings=wandb.Settings(silent=True, console="off"),
            )
        except (wandb.errors.Error, OSError) as error:
            raise UserError(
                f"logger=wandb: {' '.join(str(error).split())}; `wandb login`, or logger.mode=offline"
            ) from error
        self._write_record(complete=False)

    def adapter(self, path: Path, reused: bool) -> None:
        """The adapter as artifact, and the curves of one that another cell made."""
        import wandb

        card = AdapterCard.read(path)
        for entry in card.history if reused else []:
            values = {f"tuning/{name}": value for name, value in entry.items() if name != "step" and value == value}
            self.run.log({**values, "trainer/global_step": int(entry["step"])})
        self.run.summary.update({f"tuning/{name}": value for name, value in card.realised.items()})
        artifact = wandb.Artifact(path.parent.name, type="model", metadata={"fingerprint": card.fingerprint})
        artifact.add_dir(str(path))
        self.run.log_artifact(artifact)

    def finish(self, exit_code: int, reason: str = "") -> None:
        """Whatever the cell has by now is logged, also of one that failed."""
        try:
            self._results()
            if reason:
                self.run.summary["failure"] = reason
        finally:
            self.run.finish(exit_code=exit_code)
            self._write_record(complete=exit_code == 0)

    def _results(self) -> None:
        import wandb

        try:
            summary = json.loads((self.directory / SUMMARY).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        self.run.summary.update({**scalars(summary), "label": summary["label"], "complete": summary["complete"]})
        self.run.summary.update(_flat("task", summary["task_metrics"]))
        rows = [_row(trajectory) for trajectory in ResultStore(self.directory).trajectories()]
        self.run.log({"trajectories": wandb.Table(columns=[*COLUMNS], data=rows)})

    def _write_record(self, complete: bool) -> None:
        record = {"id": self.run.id, "url": self.run.url, "complete": complete}
        write_whole(self.directory / RECORD, json.dumps(record, indent=1) + "\n")


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}/{name}": value for name, value in values.items()}


def _row(trajectory: Trajectory) -> list[Any]:
    tokens = sum(call.prompt_tokens + call.completion_tokens for call in trajectory.calls)
    steps = sum(len(path.steps) for path in trajectory.paths)
    facts = [trajectory.sample, trajectory.trial, str(trajectory.outcome), trajectory.success, trajectory.reward]
    return [*facts, len(trajectory.paths), steps, len(trajectory.calls), tokens, as_text(trajectory)]


def as_text(trajectory: Trajectory) -> str:
    """The path that counts, one action and observation after the other."""
    if not trajectory.paths:
        return ""
    path = trajectory.paths[trajectory.selected]
    lines = [str(path.opening[-1].get("content", ""))] if path.opening else []
    for step in path.steps:
        lines += [f"> {step.executed or step.candidate.action or step.candidate.reply}", step.observation]
    return "\n".join(lines)
