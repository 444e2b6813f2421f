"""The run: many dialogues at once, each kept the moment it is written and again when it is verified."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agentx.construction.asking import Crew, Role, WritingFailed
from agentx.construction.journal import Journal
from agentx.construction.progress import ConstructionProgress
from agentx.construction.record import Dialogue, Reason, Status, Verdict
from agentx.construction.settings import ConstructSettings
from agentx.construction.verification import verify
from agentx.construction.workshops import Workshop
from agentx.errors import UserError
from agentx.models.chat import BackendError
from agentx.models.spending import RunBudgetReached
from agentx.tasks.environment import TaskDataError

log = logging.getLogger(__name__)

WRITTEN, VERIFIED = "dialogues.jsonl", "verified.jsonl"


@dataclass
class Pipeline:
    """Writes and verifies trajectories `0 … size - 1` of a workshop in `directory`, of which some may be there already.

    `roles(index)` gives who plays the roles in a trajectory.
    """

    workshop: Workshop
    roles: Callable[[int], Mapping[str, Role]]
    settings: ConstructSettings
    seed: int
    size: int
    directory: Path
    progress: ConstructionProgress
    stopped: str = ""
    """the budget that ended the run, if one did"""
    _failures: list[str] = field(default_factory=list)
    """outer failures since the last success"""
    _silent: list[Dialogue] = field(default_factory=list)
    """dialogues that ended in an empty answer since then: the teacher's doing only if it still speaks afterwards"""

    def __post_init__(self) -> None:
        self._written = Journal(self.directory / WRITTEN)
        self._verified = Journal(self.directory / VERIFIED)
        self.dialogues: dict[int, Dialogue] = {}
        for record in self._written.records():
            dialogue = Dialogue.from_dict(record)
            self.dialogues.setdefault(dialogue.index, dialogue)
        self.results: dict[int, tuple[Dialogue, Verdict]] = {}
        for record in self._verified.records():
            dialogue = Dialogue.from_dict(record["dialogue"])
            self.results.setdefault(dialogue.index, (dialogue, Verdict.from_dict(record["verdict"])))
        self._opening = asyncio.Semaphore(self.settings.verify_concurrency)

    def close(self) -> None:
        self._written.close()
        self._verified.close()

    async def run(self) -> None:
        """Do what is missing. A budget that runs out ends the run quietly (`stopped` says so); dialogues under way are
        taken up again by the next start, their paid answers are kept.

        Raises UserError where the teacher cannot be had (key, quota, model) and after `give_up_after` failures in a
        row.
        """
        missing = [index for index in range(self.size) if index not in self.results]
        for index in range(self.size):
            if index in self.results:
                self.progress.before(*self.results[index])
        if not missing:
            return
        if any(index not in self.dialogues for index in missing):
            await self.workshop.prepare()
        queue = iter(missing)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.settings.concurrency, len(missing))):
                    group.create_task(self._work(queue))
        except BaseExceptionGroup as failures:
            raise _first(failures) from None
        await self._believe_silence()

    async def _work(self, queue: Iterator[int]) -> None:
        for index in queue:
            if self.stopped:
                return
            dialogue = self.dialogues.get(index)
            if dialogue is None:
                try:
                    dialogue = await self._write(index)
                except RunBudgetReached as over:
                    self.stopped = over.limit
                    return
                if dialogue is None:
                    continue
            await self._verify(dialogue)

    async def _write(self, index: int) -> Dialogue | None:
        """A written dialogue, kept; None where the server failed: the next start tries it again."""
        started = time.monotonic()
        dialogue = self.workshop.begin(index)
        crew = Crew(self.roles(index), dialogue, self.seed, self.settings.asks)
        self.progress.began()
        try:
            await self.workshop.write(dialogue, crew)
        except WritingFailed as failure:
            dialogue.failure, dialogue.detail = failure.reason, failure.detail
        except (BackendError, OSError, TaskDataError) as error:
            self._outer_failure(f"{type(error).__name__}: {' '.join(str(error).split())}", dialogue)
            return None
        finally:
            self.progress.ended()
        dialogue.seconds = time.monotonic() - started
        if dialogue.failure is Reason.EMPTY:
            self._silent.append(dialogue)
            self._outer_failure("the answers are empty", None)
            return None
        self._failures.clear()
        self._keep(dialogue)
        await self._believe_silence()
        return dialogue

    def _keep(self, dialogue: Dialogue) -> None:
        self._written.append(dialogue.to_dict())
        self.dialogues[dialogue.index] = dialogue

    async def _believe_silence(self) -> None:
        """The teacher speaks again, or the run is over: what ended in an empty answer is finished, and rejected."""
        silent, self._silent = self._silent, []
        for dialogue in silent:
            self._keep(dialogue)
            await self._verify(dialogue)

    async def _verify(self, dialogue: Dialogue) -> None:
        try:
            async with self._opening:
                result = await verify(
                    dialogue,
                    self.workshop.open_real(dialogue),
                    invalid_actions=self.settings.filters.invalid_actions,
                    classes=self.workshop.names,
                    instruction=self.workshop.instruction(dialogue),
                )
        except (OSError, TaskDataError) as error:
            self._outer_failure(f"verification: {' '.join(str(error).split())}", dialogue)
            return
        except UserError:
            raise
        except Exception as error:
            # A trajectory that breaks the environment is no reason to lose the others.
            log.error("trajectory %s broke its environment\n%s", dialogue.id, traceback.format_exc())
            broken = Verdict(Status.REJECTED, Reason.NOT_REPRODUCIBLE, f"{type(error).__name__}: {error}")
            result = dialogue, broken
        self._verified.append({"dialogue": result[0].to_dict(), "verdict": result[1].to_dict()})
        self.results[dialogue.index] = result
        self.progress.finished(*result)

    def _outer_failure(self, reason: str, dialogue: Dialogue | None) -> None:
        """Something that is not in the teacher's words: the trajectory is tried again by the next start."""
        self._failures.append(reason)
        self.progress.failed(dialogue is not None)
        if dialogue is not None:
            log.info("trajectory %s: %s", dialogue.id, reason)
        if len(self._failures) >= self.settings.give_up_after:
            raise UserError(
                f"stopped: {len(self._failures)} trajectories in a row failed, the last one with: {reason[:300]}. Mend "
                f"that and start the same command again; the {len(self.results)} finished ones are kept"
            )


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    failure: BaseException = failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
