"""The episodes of a cell under Lightning's `Trainer.test`: devices and nodes share what is pending."""

from __future__ import annotations

import asyncio
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch.utils.data import DataLoader, IterableDataset

from agentx.evaluation.progress import ProgressLine
from agentx.evaluation.runner import Method, planned_episodes, run_episodes
from agentx.evaluation.settings import EvaluationSettings
from agentx.evaluation.spending import STOPPED, write_stopped
from agentx.evaluation.store import Episode, ResultStore
from agentx.evaluation.summary import PLAN, SUMMARY, Plan, summarise_cell
from agentx.models.chat import ChatModel, Roles
from agentx.reasoning.settings import BudgetSettings
from agentx.tasks.environment import Task

log = logging.getLogger(__name__)


class EpisodeData(pl.LightningDataModule):
    """Deals the pending episodes of a cell out to the ranks.

    Rank zero decides what is pending and tells the others, because they would see results that another rank has
    stored meanwhile. The cell's directory has to be visible to all of them.
    """

    def __init__(self, task: Task, directory: str | Path, settings: EvaluationSettings) -> None:
        super().__init__()
        self.task, self.directory, self.settings = task, Path(directory), settings
        self.planned = planned_episodes(task, settings.trials)
        self.pending: list[Episode] = []
        self.done = 0
        self.successes = 0

    def setup(self, stage: str) -> None:
        decision: tuple[list[Episode], int, int] | None = None
        if self._trainer.is_global_zero:
            decision = self._decide()
        decision = self._trainer.strategy.broadcast(decision)
        assert decision is not None
        self.pending, self.done, self.successes = decision

    def _decide(self) -> tuple[list[Episode], int, int]:
        """What is pending; the plan is written, and a summary that is about to be out of date removed."""
        store = ResultStore(self.directory)
        planned = set(self.planned)
        finished = [t for t in store.trajectories() if (t.sample, t.trial) in planned]
        done = {(trajectory.sample, trajectory.trial) for trajectory in finished}
        pending = [episode for episode in self.planned if episode not in done]
        Plan.of(self.task, self.planned).write(self.directory)
        if pending:
            (self.directory / SUMMARY).unlink(missing_ok=True)
            (self.directory / STOPPED).unlink(missing_ok=True)
        return pending, len(done), sum(trajectory.success for trajectory in finished)

    def test_dataloader(self) -> DataLoader[list[Episode]]:
        """One batch: this rank's whole queue. Several batches would be waves, each waiting for its slowest episode."""
        trainer = self._trainer
        return DataLoader(_Queue(self.pending[trainer.global_rank :: trainer.world_size]), batch_size=None)

    @property
    def _trainer(self) -> pl.Trainer:
        assert self.trainer is not None
        return self.trainer


class _Queue(IterableDataset[list[Episode]]):
    """Iterable, so that Lightning leaves the dealing to us instead of adding a sampler of its own."""

    def __init__(self, episodes: list[Episode]) -> None:
        self.episodes = episodes

    def __iter__(self) -> Iterator[list[Episode]]:
        yield self.episodes


class EvaluationModule(pl.LightningModule):
    """Plays the episodes it is given; rank zero then writes summary.json and logs its numbers.

    `open_roles` makes the models on the given device. It is called only where there are episodes to play, from
    within the running event loop, and each model it returns is closed at the end.
    """

    def __init__(
        self,
        task: Task,
        method: Method,
        open_roles: Callable[[torch.device], Roles],
        directory: str | Path,
        settings: EvaluationSettings,
        budget: BudgetSettings | None = None,
        run_seed: int = 0,
    ) -> None:
        super().__init__()
        self.task, self.method, self.open_roles = task, method, open_roles
        self.directory, self.settings, self.budget, self.run_seed = Path(directory), settings, budget, run_seed

    def test_step(self, batch: list[Episode], batch_idx: int) -> None:
        if not batch:
            return
        try:
            # Back ends that generate in a thread of their own or update tensors in place fail under inference_mode.
            with torch.inference_mode(False), torch.no_grad():
                asyncio.run(self._play(batch))
        except asyncio.CancelledError:
            if self.trainer.received_sigterm:
                raise SIGTERMException from None
            raise

    def on_test_epoch_end(self) -> None:
        self.trainer.strategy.barrier("episodes")
        if self.trainer.is_global_zero:
            summary = summarise_cell(self.directory, self.task)
            self.log_dict(scalars(summary), rank_zero_only=True)
        self.trainer.strategy.barrier("summary")

    async def _play(self, episodes: list[Episode]) -> None:
        watch = asyncio.create_task(self._cancel_on_sigterm(asyncio.current_task()))
        roles = self.open_roles(self.device)
        try:
            store = ResultStore(self.directory)
            with self._progress() as progress:
                counts = await run_episodes(
                    self.task,
                    self.method,
                    roles,
                    store,
                    self.settings,
                    progress,
                    budget=self.budget,
                    run_seed=self.run_seed,
                    pending=episodes,
                )
            if counts.stopped:
                write_stopped(self.directory, counts.stopped)
                log.warning(
                    "%s is reached: finished episodes are kept and scored; the same command with a larger one goes on",
                    counts.stopped,
                )
        finally:
            watch.cancel()
            await close_roles(roles)

    async def _cancel_on_sigterm(self, running: asyncio.Task[None] | None) -> None:
        """Lightning only notes SIGTERM and looks at it between batches, and there is a single batch."""
        while not self.trainer.received_sigterm:
            await asyncio.sleep(0.2)
        if running is not None:
            running.cancel()

    def _progress(self) -> AbstractContextManager[ProgressLine | None]:
        """Rank zero shows its own share, to which it adds what earlier runs finished."""
        trainer = self.trainer
        if not trainer.is_global_zero:
            return nullcontext()
        data: Any = getattr(trainer, "datamodule", None)
        assert isinstance(data, EpisodeData)
        share = len(data.pending[:: trainer.world_size])
        label = self.task.label if trainer.world_size == 1 else f"{self.task.label} (1 of {trainer.world_size} devices)"
        return ProgressLine(label, data.done + share, data.done, data.successes)


def evaluate_cell(trainer: pl.Trainer, module: EvaluationModule, data: EpisodeData) -> dict[str, Any]:
    """Run what is pending of a cell and return its summary, which then also lies in its summary.json.

    A run that is stopped or fails scores what it finished before the exception (SystemExit after Ctrl-C and SIGTERM,
    UserError …) goes on. A cell without pending episodes is only summarised: no model is loaded.
    """
    try:
        with warnings.catch_warnings():
            # The queue is a list in memory: workers that load it would be in the way.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            trainer.test(module, datamodule=data, verbose=False)
    except BaseException:
        if trainer.is_global_zero and (module.directory / PLAN).exists():
            summarise_cell(module.directory, module.task)
        raise
    summary: dict[str, Any] = json.loads((module.directory / SUMMARY).read_text(encoding="utf-8"))
    return summary


def scalars(summary: dict[str, Any]) -> dict[str, float]:
    """The summary's headline numbers for a logger; what does not exist is left out."""
    values = {
        "test/n": summary["n"],
        "test/missing": len(summary["missing"]),
        "test/infrastructure_errors": summary["infrastructure_errors"],
        "test/success_rate": summary["success_rate"]["value"],
        "test/reward": summary["reward"]["value"],
        **{f"test/{name}_per_step": rate["per_step"] for name, rate in summary["failures"].items()},
        **{f"test/{name}_per_episode": rate["per_episode"] for name, rate in summary["failures"].items()},
        **{f"test/{name}_per_episode": number for name, number in summary["cost"]["per_episode"].items()},
        "test/spent": summary.get("spending", {}).get("run", {}).get("cost"),
    }
    return {name: float(value) for name, value in values.items() if value is not None}


async def close_roles(roles: Roles) -> None:
    """Close each model once, also where several roles share it."""
    models: dict[int, ChatModel] = {id(model): model for model in roles.by_name.values()}
    for model in models.values():
        await model.close()
