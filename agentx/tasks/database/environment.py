"""A database sample under AgentBench's rules."""

from __future__ import annotations

import asyncio
from typing import Protocol

from agentx.tasks.database import actions
from agentx.tasks.database.agentbench_prompt import read_reply
from agentx.tasks.database.engines import Database, Engine, Reply
from agentx.tasks.database.scoring import is_correct
from agentx.tasks.database.settings import MUTATIONS, Settings
from agentx.tasks.database.tables import Record
from agentx.tasks.environment import Action, Observation, StepResult, TaskDataError
from agentx.trajectory import Outcome, Verdict


class MakeEngine(Protocol):
    """Gives the engine, starting its server where that has not been done. Blocks; raises OSError or UserError."""

    def __call__(self) -> Engine: ...


class DatabaseEnvironment:
    """One sample in play on a database of its own; satisfies `agentx.tasks.environment.Environment`.

    Rules that count: a reply without a statement or an answer in the right form ends the episode as invalid_format; an
    answer ends it as completed; after `task.max_rounds` rounds without one it ends as task_limit. A query is won by the
    right answer. A mutation is won when the table has the right hash, however the episode ends.
    """

    deterministic = True

    def __init__(self, engine: MakeEngine, record: Record, settings: Settings) -> None:
        self.task_statement = record.description.split("\n")[0]
        self.max_rounds = settings.max_rounds
        self.log: list[tuple[str, Reply]] = []
        """the statements run since the last reset, and what they brought"""
        self.reward = 0.0
        self.keeps_replies = settings.replies == "agentbench"
        self._make_engine = engine
        self._record = record
        self._settings = settings
        self._database: Database | None = None
        self._rounds = 0
        self._done = True

    async def reset(self) -> Observation:
        """Raises TaskDataError when no server could create the sample's table, OSError when the engine failed."""
        defect = self._record.table.defect()
        if defect:
            raise TaskDataError(f"sample {self._record.id}: its table cannot be created: {defect}")
        await self.close()
        self._database, self.reward = await asyncio.to_thread(self._open)
        self.log = []
        self._rounds = 0
        self._done = False
        return Observation(self._record.description)

    async def step(self, action: Action) -> StepResult:
        if self._done or self._database is None:
            raise RuntimeError("the episode is over or was never started: call reset first")
        self._rounds += 1
        said = read_reply(action.raw) if self.keeps_replies else actions.parse(action.text)
        if said is None:
            return self._result("", Verdict.INVALID_FORMAT, Outcome.INVALID_FORMAT)
        if isinstance(said, actions.Answer):
            if self._record.kind not in MUTATIONS:
                self.reward = float(is_correct(said.text, self._record.label, self._settings.scoring))
            return self._result("", Verdict.VALID, Outcome.COMPLETED, said.text, said.notices)
        reply = await asyncio.to_thread(self._execute, self._database, said.statement)
        self.log.append((said.statement, reply))
        verdict = Verdict.VALID
        if reply.error:
            verdict = Verdict.HALLUCINATED if reply.unknown_name else Verdict.INVALID_ACTION
        outcome = Outcome.TASK_LIMIT if self._rounds >= self.max_rounds else None
        return self._result(reply.text, verdict, outcome, said.statement, said.notices)

    async def fork(self) -> DatabaseEnvironment | None:
        """A copy in the same state; closing one does not touch the other."""
        if self._database is None:
            raise RuntimeError("the episode was never started: call reset first")
        database = await asyncio.to_thread(self._database.fork)
        if database is None:
            return None
        other = DatabaseEnvironment(self._make_engine, self._record, self._settings)
        other._database = database
        other.log = list(self.log)
        other.reward, other._rounds, other._done = self.reward, self._rounds, self._done
        return other

    async def close(self) -> None:
        database, self._database = self._database, None
        self._done = True
        if database is not None:
            await asyncio.to_thread(database.close)

    def _open(self) -> tuple[Database, float]:
        database = self._make_engine().open(self._record.table, self._settings.statement_seconds)
        return database, self._mutated(database)

    def _execute(self, database: Database, statement: str) -> Reply:
        reply = database.execute(statement)
        self.reward = self._mutated(database)
        return reply

    def _mutated(self, database: Database) -> float:
        """The reward that the state of the table earns by itself; a few statements change nothing and are right."""
        return float(self._record.kind in MUTATIONS and database.digest() == self._record.digest)

    def _result(
        self, text: str, verdict: Verdict, outcome: Outcome | None, executed: str = "", notices: tuple[str, ...] = ()
    ) -> StepResult:
        self._done = outcome is not None
        return StepResult(Observation(text), self.reward, self._done, verdict, outcome, executed, notices)
