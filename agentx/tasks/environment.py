"""Tasks and their environments: what reasoning methods see of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from agentx.conversation import Message
from agentx.trajectory import Outcome, Trajectory, Verdict

Family = Literal["planning", "api", "general"]


class TaskDataError(Exception):
    """Task data is missing or broken; the message names file, record and what to do."""


@dataclass(frozen=True)
class Sample:
    """One problem. `id` is stable across runs and machines."""

    id: str
    family: Family
    split: str
    kind: str = ""
    """the task's own type, e.g. pick_and_place_simple"""
    metadata: dict[str, Any] = field(default_factory=dict, compare=False, hash=False)


@dataclass(frozen=True)
class Observation:
    """What the agent is shown. `transient` (e.g. the admissible commands) is shown with the newest
    message only and leaves the history when the next observation arrives. `fresh` begins the dialogue anew: the
    observation follows the task's opening as the first one does, and earlier turns are not shown again."""

    text: str
    transient: str = ""
    fresh: bool = False

    @property
    def shown(self) -> str:
        return f"{self.text}\n{self.transient}" if self.transient else self.text


@dataclass(frozen=True)
class Action:
    """What the style's parser made of a reply: `text` is None when the reply holds no action in the
    style's format; `raw` is the whole reply (loop rules compare it)."""

    text: str | None
    raw: str


@dataclass(frozen=True)
class StepResult:
    """`outcome` is set exactly when `done`. `reward` is the episode's reward so far, in [0, 1]."""

    observation: Observation
    reward: float
    done: bool
    verdict: Verdict
    outcome: Outcome | None = None
    executed: str = ""
    """the command that was run, after the environment's own parsing ('' when none was)"""
    notices: tuple[str, ...] = ()


@runtime_checkable
class Environment(Protocol):
    """One sample in play. `reset` may be called again: it starts from the same initial state."""

    task_statement: str
    """what planner and judge are told the task is; known after the first reset"""
    deterministic: bool
    max_rounds: int

    async def reset(self) -> Observation: ...

    async def step(self, action: Action) -> StepResult:
        """Raises RuntimeError when called after done."""
        ...

    async def fork(self) -> Environment | None:
        """An independent copy of the current state, or None where replaying is the only way."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class Task(Protocol):
    """A named list of samples, a way to open them and the prompts that belong to them."""

    name: str
    label: str
    """for tables: 'ALFWorld (std)' or 'household (generated)'; never a benchmark's bare name for generated data"""
    samples: Sequence[Sample]
    success_threshold: float
    """reward from which an episode counts as a success"""

    def opening(self, sample: Sample, style: str, shots: int) -> list[Message]:
        """Instruction and worked examples in the given prompting style (io, cot, react); the first
        observation follows as the next user message (merged into the last message if that is the user's)."""
        ...

    async def open(self, sample: Sample) -> Environment: ...

    def aggregate(self, trajectories: Sequence[Trajectory]) -> dict[str, float]:
        """The task's own metrics over scored trajectories, e.g. {'success_rate': 0.5}."""
        ...
