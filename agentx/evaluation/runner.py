"""Run the episodes of one cell: a bounded number at once, each result kept the moment it is there."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from agentx.errors import UserError
from agentx.evaluation.progress import Progress
from agentx.evaluation.settings import EvaluationSettings
from agentx.evaluation.store import Episode, ResultStore
from agentx.models.chat import BackendError, BackendUnreachable, Roles
from agentx.models.spending import RunBudgetReached
from agentx.reasoning.episode import EpisodeContext
from agentx.reasoning.settings import BudgetSettings, MethodSettings
from agentx.tasks.environment import Environment, Sample, Task, TaskDataError
from agentx.trajectory import Outcome, Trajectory

log = logging.getLogger(__name__)

LONGEST_DELAY = 60.0
"""seconds between two tries"""


class Method(Protocol):
    """What the runner needs of a reasoning method."""

    settings: MethodSettings

    async def solve(
        self, environment: Environment, roles: Roles, budget: BudgetSettings, context: EpisodeContext
    ) -> Trajectory: ...


@dataclass
class RunCounts:
    """What one call of `run_episodes` did."""

    finished: int = 0
    """scored episodes"""
    successes: int = 0
    infrastructure_errors: int = 0
    """episodes left without a score after all tries"""
    retries: int = 0
    stopped: str = ""
    """the limit of the whole run that ended it, e.g. 'run_budget.max_calls=20'"""


def planned_episodes(task: Task, trials: int) -> list[Episode]:
    """Every (sample id, trial) of a cell: all samples' first trials, then all second ones …, so that a run that is
    stopped early has seen as many samples as possible."""
    return [(sample.id, trial) for trial in range(trials) for sample in task.samples]


async def run_episodes(
    task: Task,
    method: Method,
    roles: Roles,
    store: ResultStore,
    settings: EvaluationSettings,
    progress: Progress | None = None,
    *,
    budget: BudgetSettings | None = None,
    run_seed: int = 0,
    pending: Sequence[Episode] | None = None,
) -> RunCounts:
    """Play the `pending` episodes (default: all of the task that `store` has no result for) and store each.

    `settings.concurrency` episodes are in play at once and the next one starts as soon as any of them ends.
    BackendError and OSError are retried, then recorded as infrastructure_error; so is, without a retry, any other
    exception, with its traceback in the log. Cancelling stops at once: environments are closed, what is finished is
    kept.

    Where the run's budget is spent no further episode begins; those in play go on as far as they need no call, and
    whichever then lacks one is left for the next run.

    Raises UserError when nobody answers at a model's address or `settings.give_up_after` episodes in a row ended in an
    infrastructure error, KeyError for a pending sample the task does not have, and OSError when results cannot be
    written.
    """
    samples = {sample.id: sample for sample in task.samples}
    if pending is None:
        done = store.done()
        pending = [episode for episode in planned_episodes(task, settings.trials) if episode not in done]
    run = _Run(task, method, roles, store, settings, progress, budget or BudgetSettings(), run_seed)
    queue = iter([(samples[sample], trial) for sample, trial in pending])
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(settings.concurrency, len(pending))):
                group.create_task(run.work(queue))
    except BaseExceptionGroup as failures:
        raise _first(failures) from None
    finally:
        store.sync()
    return run.counts


class _Run:
    """One call of `run_episodes`, shared by its workers."""

    def __init__(
        self,
        task: Task,
        method: Method,
        roles: Roles,
        store: ResultStore,
        settings: EvaluationSettings,
        progress: Progress | None,
        budget: BudgetSettings,
        run_seed: int,
    ) -> None:
        self.task, self.method, self.roles, self.store = task, method, roles, store
        self.settings, self.progress, self.budget, self.run_seed = settings, progress, budget, run_seed
        self.counts = RunCounts()
        self._failed_in_a_row = 0

    async def work(self, queue: Iterator[tuple[Sample, int]]) -> None:
        """One slot: take the next episode from the queue shared by all slots until it is empty."""
        for sample, trial in queue:
            if self.counts.stopped:
                return
            try:
                trajectory = await self._episode(sample, trial)
            except RunBudgetReached as reached:
                self.counts.stopped = reached.limit
                return
            self.store.append(trajectory)
            if self.progress is not None:
                self.progress.finished(trajectory)
            if trajectory.outcome is Outcome.INFRASTRUCTURE_ERROR:
                self._count_failure(trajectory)
            else:
                self.counts.finished += 1
                self.counts.successes += trajectory.success
                self._failed_in_a_row = 0

    def _count_failure(self, trajectory: Trajectory) -> None:
        self.counts.infrastructure_errors += 1
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= self.settings.give_up_after:
            raise UserError(
                f"stopped: {self._failed_in_a_row} episodes in a row failed outside of the agent, the last one "
                f"(sample {trajectory.sample}) with {trajectory.limit}; mend that and start the same command again, "
                "finished episodes are kept"
            )

    async def _episode(self, sample: Sample, trial: int) -> Trajectory:
        """The episode's trajectory, or one that says which infrastructure error it ended in."""
        started = time.monotonic()
        for attempt in range(self.settings.retries + 1):
            try:
                return await self._attempt(sample, trial)
            except (BackendError, OSError) as error:
                reason = _describe(error)
                if attempt < self.settings.retries:
                    self.counts.retries += 1
                    delay = min(LONGEST_DELAY, self.settings.retry_delay * 2**attempt)
                    log.info("sample %s, trial %d: %s; trying again in %g s", sample.id, trial, reason, delay)
                    await asyncio.sleep(delay)
                elif isinstance(error, BackendUnreachable):
                    raise UserError(
                        f"stopped: {error}, then run the same command again: finished episodes are kept"
                    ) from error
                else:
                    log.warning("sample %s, trial %d: %s; given up (try %d)", sample.id, trial, reason, attempt + 1)
            except TaskDataError as error:
                reason = _describe(error)
                log.warning("sample %s cannot be played: %s", sample.id, reason)
                break
            except (UserError, RunBudgetReached):
                raise
            except Exception as error:
                reason = _describe(error)
                log.error("sample %s, trial %d: %s (not scored)\n%s", sample.id, trial, reason, traceback.format_exc())
                break
        return Trajectory(
            sample.id,
            trial,
            outcome=Outcome.INFRASTRUCTURE_ERROR,
            limit=reason,
            seconds=time.monotonic() - started,
            metadata=_facts(sample),
        )

    async def _attempt(self, sample: Sample, trial: int) -> Trajectory:
        style = self.method.settings
        context = EpisodeContext(
            run_seed=self.run_seed,
            sample_id=sample.id,
            trial=trial,
            opening=self.task.opening(sample, style.style, style.shots),
            success_threshold=self.task.success_threshold,
            metadata=_facts(sample),
        )
        environment = await self.task.open(sample)
        try:
            trajectory = await self.method.solve(environment, self.roles, self.budget, context)
        finally:
            await _close(environment, sample)
        if trajectory.outcome is Outcome.INFRASTRUCTURE_ERROR:
            raise BackendError(trajectory.limit or "the method reported an infrastructure error")
        return trajectory


async def _close(environment: Environment, sample: Sample) -> None:
    """A result is not lost because tidying up failed."""
    try:
        await environment.close()
    except Exception:
        log.warning("sample %s: closing the environment failed\n%s", sample.id, traceback.format_exc())


def _facts(sample: Sample) -> dict[str, str]:
    return {"kind": sample.kind, "family": sample.family, "split": sample.split}


def _describe(error: Exception) -> str:
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The plain exception that ended the run; the group is the machinery's affair."""
    failure: BaseException = failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
