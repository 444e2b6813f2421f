"""A scripted model and a mock environment, handed to the tests as factories."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from agentx.conversation import Message
from agentx.models.chat import Completion, ContextOverflow, Request, Roles, Sampling
from agentx.reasoning.method import EpisodeContext, Method
from agentx.reasoning.settings import BudgetSettings, MethodSettings
from agentx.tasks.environment import Action, Observation, StepResult
from agentx.trajectory import Outcome, Purpose, Trajectory, Verdict

Script = Callable[[Sequence[Message], Request], str]


@dataclass(frozen=True)
class Asked:
    """One recorded request."""

    messages: tuple[Message, ...]
    sampling: Sampling
    request: Request
    seed: int
    text: str

    @property
    def prompt(self) -> str:
        return self.messages[-1].content


class ScriptedModel:
    """Replies what its script says and remembers what it was asked, in order."""

    name = "scripted"

    def __init__(self, script: Script, context_length: int = 100_000) -> None:
        self.script = script
        self.context_length = context_length
        self.asked: list[Asked] = []
        self.running = 0
        self.on_call: Callable[[Request], None] = lambda request: None

    async def generate(self, messages: Sequence[Message], sampling: Sampling, request: Request) -> Completion:
        assert messages[-1].role == "user"
        tokens = self.count_tokens(messages)
        if tokens >= self.context_length:
            raise ContextOverflow
        self.on_call(request)
        self.running += 1
        try:
            await asyncio.sleep(0)
        finally:
            self.running -= 1
        text = self.script(messages, request)
        self.asked.append(Asked(tuple(messages), sampling, request, request.seed, text))
        return Completion(text, tokens, len(text.split()))

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    async def close(self) -> None:
        pass

    def of(self, *purposes: Purpose) -> list[Asked]:
        return [asked for asked in self.asked if asked.request.purpose in purposes]


class MockCorridor:
    """Mock of an environment: cells 0 … goal; `right` and `left` move, `stop` ends with reward cell / goal."""

    task_statement = "reach the last cell"

    def __init__(
        self,
        goal: int = 3,
        rounds: int = 8,
        forks: bool = True,
        deterministic: bool = True,
        transient: str = "",
        registry: list[MockCorridor] | None = None,
    ) -> None:
        self.goal, self.max_rounds, self.forks = goal, rounds, forks
        self.deterministic, self.transient = deterministic, transient
        self.registry = [] if registry is None else registry
        self.registry.append(self)
        self.cell = self.round = self.resets = self.steps = self.closings = 0
        self.ended = True
        self.events: list[str] = []

    @property
    def open_forks(self) -> int:
        return sum(1 for environment in self.registry[1:] if not environment.closings)

    def _observation(self) -> Observation:
        return Observation(f"You are in cell {self.cell}.", self.transient)

    async def reset(self) -> Observation:
        await asyncio.sleep(0)
        self.cell = self.round = 0
        self.ended = False
        self.resets += 1
        self.events.append("reset")
        return self._observation()

    async def step(self, action: Action) -> StepResult:
        if self.ended:
            raise RuntimeError("step after done")
        await asyncio.sleep(0)
        self.round += 1
        self.steps += 1
        self.events.append(f"step {action.text}")
        if action.text is None:
            return self._result(0.0, Verdict.INVALID_FORMAT, Outcome.INVALID_ACTION)
        if action.text == "stop":
            return self._result(self.cell / self.goal, Verdict.VALID, Outcome.COMPLETED)
        known = {"right": 1, "left": -1}
        self.cell = max(0, self.cell + known.get(action.text, 0))
        verdict = Verdict.VALID if action.text in known else Verdict.INVALID_ACTION
        if self.cell >= self.goal:
            return self._result(1.0, verdict, Outcome.COMPLETED)
        if self.round >= self.max_rounds:
            return self._result(0.0, verdict, Outcome.TASK_LIMIT)
        return self._result(0.0, verdict, None)

    def _result(self, reward: float, verdict: Verdict, outcome: Outcome | None) -> StepResult:
        self.ended = outcome is not None
        return StepResult(self._observation(), reward, self.ended, verdict, outcome, executed="")

    async def fork(self) -> MockCorridor | None:
        await asyncio.sleep(0)
        if not self.forks:
            return None
        twin = MockCorridor(self.goal, self.max_rounds, self.forks, self.deterministic, self.transient, self.registry)
        twin.cell, twin.round, twin.ended = self.cell, self.round, self.ended
        return twin

    async def close(self) -> None:
        self.closings += 1
        await asyncio.sleep(0)


def _by_purpose(
    act: Script | str = "THOUGHT: on\nACTION: right",
    plan: Script | str = "1. go\n2. arrive",
    done: Script | str = "No",
    task: Script | str = "No",
    pick: Script | str = "1",
    score: Script | str = "5",
) -> Script:
    answers = {
        Purpose.ACT: act,
        Purpose.PLAN: plan,
        Purpose.SUBTASK_DONE: done,
        Purpose.TASK_DONE: task,
        Purpose.PICK: pick,
        Purpose.SCORE: score,
    }

    def script(messages: Sequence[Message], request: Request) -> str:
        answer = answers[request.purpose]
        return answer if isinstance(answer, str) else answer(messages, request)

    return script


def _context() -> EpisodeContext:
    opening = [Message("user", "Walk."), Message("assistant", "OK")]
    return EpisodeContext(run_seed=7, sample_id="s1", trial=0, opening=opening, metadata={"kind": "mock"})


def _solve(
    settings: MethodSettings,
    environment: MockCorridor,
    model: ScriptedModel | Roles,
    budget: BudgetSettings | None = None,
    clock: Callable[[], float] = lambda: 0.0,
) -> Trajectory:
    roles = model if isinstance(model, Roles) else Roles.all_one(model)
    method = Method(settings, clock)
    return asyncio.run(method.solve(environment, roles, budget or BudgetSettings(), _context()))


@pytest.fixture(scope="session")
def corridor() -> type[MockCorridor]:
    return MockCorridor


@pytest.fixture(scope="session")
def scripted() -> type[ScriptedModel]:
    return ScriptedModel


@pytest.fixture(scope="session")
def by_purpose() -> Callable[..., Script]:
    """A script with one answer (text or function) for each purpose."""
    return _by_purpose


@pytest.fixture(scope="session")
def context() -> EpisodeContext:
    return _context()


@pytest.fixture(scope="session")
def solve() -> Callable[..., Trajectory]:
    return _solve
