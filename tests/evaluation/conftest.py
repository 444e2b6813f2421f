"""A task whose environments and method are scripted by the test; everything between them is the real code."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from agentx.conversation import Message
from agentx.models.chat import Completion, Request, Roles, Sampling
from agentx.reasoning.episode import EpisodeContext
from agentx.reasoning.settings import BudgetSettings, MethodSettings
from agentx.tasks.environment import Action, Observation, Sample, StepResult
from agentx.trajectory import (
    Candidate,
    ModelCall,
    Outcome,
    Path,
    Purpose,
    Step,
    Trajectory,
    Verdict,
)


class ScriptedEnvironment:
    task_statement = "win"
    deterministic = True
    max_rounds = 5

    def __init__(self, task: ScriptedTask) -> None:
        self.task = task

    async def reset(self) -> Observation:
        return Observation("start")

    async def step(self, action: Action) -> StepResult:
        return StepResult(Observation("over"), 1.0, True, Verdict.VALID, Outcome.COMPLETED)

    async def fork(self) -> None:
        return None

    async def close(self) -> None:
        self.task.opened.remove(self)


class ScriptedTask:
    name = "scripted"
    label = "scripted (generated)"
    success_threshold = 1.0

    def __init__(self, samples: int) -> None:
        self.samples = [
            Sample(f"s{i:03d}", "planning", "test", "even" if i % 2 == 0 else "odd") for i in range(samples)
        ]
        self.opened: list[ScriptedEnvironment] = []

    def opening(self, sample: Sample, style: str, shots: int) -> list[Message]:
        return [Message("user", f"{style} {shots} {sample.id}")]

    async def open(self, sample: Sample) -> ScriptedEnvironment:
        environment = ScriptedEnvironment(self)
        self.opened.append(environment)
        return environment

    def aggregate(self, trajectories: Sequence[Trajectory]) -> dict[str, float]:
        return {"success_rate": sum(t.success for t in trajectories) / len(trajectories)}


class ScriptedMethod:
    """Calls `solve_one(sample id, trial)`, which returns whether the episode is a success, or raises."""

    def __init__(self, solve_one: Callable[[str, int], Awaitable[bool]]) -> None:
        self.settings = MethodSettings(style="io", shots=0)
        self.solve_one = solve_one

    async def solve(
        self, environment: Any, roles: Roles, budget: BudgetSettings, context: EpisodeContext
    ) -> Trajectory:
        await environment.reset()
        success = await self.solve_one(context.sample_id, context.trial)
        result = await environment.step(Action("go", "ACTION: go"))
        step = Step(0, [Candidate("ACTION: go", "go")], 0, result.observation.text, float(success), True, Verdict.VALID)
        path = Path(0, [m.to_dict() for m in context.opening], steps=[step], reward=float(success))
        path.outcome = Outcome.COMPLETED
        call = ModelCall(Purpose.ACT, "policy", 0, 0, 0, 1, "ACTION: go", 10, 0, 3, 0.1, "stop")
        return Trajectory(
            context.sample_id,
            context.trial,
            [path],
            [call],
            reward=float(success),
            success=success,
            outcome=Outcome.COMPLETED,
            metadata=dict(context.metadata),
        )


class SilentModel:
    name = "silent"
    context_length = 100

    def __init__(self) -> None:
        self.closed = 0

    async def generate(self, messages: Sequence[Message], sampling: Sampling, request: Request) -> Completion:
        await asyncio.sleep(0)
        return Completion("ACTION: go", 1, 1)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return 1

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
def make_task() -> Callable[[int], ScriptedTask]:
    return ScriptedTask


@pytest.fixture
def make_method() -> Callable[[Callable[[str, int], Awaitable[bool]]], ScriptedMethod]:
    return ScriptedMethod


@pytest.fixture
def model() -> SilentModel:
    return SilentModel()


@pytest.fixture
def roles(model: SilentModel) -> Roles:
    return Roles.all_one(model)


@pytest.fixture
def make_trajectory() -> Callable[..., Trajectory]:
    """A trajectory from verdicts: `make_trajectory("s1", verdicts=[...], reward=1.0, notices=[...])`."""

    def make(
        sample: str = "s0",
        trial: int = 0,
        reward: float = 0.0,
        verdicts: Sequence[Verdict] = (Verdict.VALID,),
        notices: Sequence[Sequence[str]] = (),
        outcome: Outcome = Outcome.COMPLETED,
        judged: bool | None = None,
        seconds: float = 1.0,
        kind: str = "pick",
    ) -> Trajectory:
        steps = [
            Step(
                i,
                [Candidate("ACTION: x", "x")],
                0,
                "ok",
                reward,
                False,
                verdict,
                notices=list(notices[i : i + 1] and notices[i]),
            )
            for i, verdict in enumerate(verdicts)
        ]
        path = Path(0, [{"role": "user", "content": "task"}], [], steps, reward, outcome, judged_success=judged)
        calls = [
            ModelCall(Purpose.ACT, "policy", 0, i, 0, 7, "ACTION: x", 10, 4, 2, 0.5, "stop") for i in range(len(steps))
        ]
        return Trajectory(
            sample, trial, [path], calls, 0, reward, reward >= 1, outcome, seconds=seconds, metadata={"kind": kind}
        )

    return make
