"""What one episode leaves behind: outcome, paths, steps, candidates, verdicts and every model call.

Everything here is plain data that goes to `episodes.jsonl` through `Trajectory.to_dict` and comes back
through `Trajectory.from_dict`; reports draw the search tree from it without running anything.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints


class Outcome(StrEnum):
    """How an episode ended (AgentBench's sample statuses, with budgets and infrastructure apart)."""

    COMPLETED = "completed"
    CONTEXT_LIMIT = "context_limit"
    INVALID_FORMAT = "invalid_format"
    INVALID_ACTION = "invalid_action"
    TASK_LIMIT = "task_limit"
    BUDGET = "budget"
    INFRASTRUCTURE_ERROR = "infrastructure_error"
    """Not the agent's doing: retried, never scored, always counted."""


class Verdict(StrEnum):
    """What the environment says of one action."""

    VALID = "valid"
    INVALID_FORMAT = "invalid_format"
    INVALID_ACTION = "invalid_action"
    HALLUCINATED = "hallucinated"
    """The action names something the agent has never observed."""


class Purpose(StrEnum):
    """Why a model was called."""

    PLAN = "plan"
    ACT = "act"
    PICK = "pick"
    """The judge chooses among candidate actions."""
    SUBTASK_DONE = "subtask_done"
    TASK_DONE = "task_done"
    SCORE = "score"
    """The judge rates a state (tree of thoughts)."""
    WRITE = "write"
    """A teacher writes agent data."""


@dataclass
class ModelCall:
    """One completion. `messages` is kept for planner and judge calls; a policy call's prompt is the path's
    opening plus the steps before it, so that episodes do not grow with the square of their length."""

    purpose: Purpose
    role: str
    """policy, planner or judge"""
    path: int
    step: int
    branch: int
    seed: int
    text: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    seconds: float
    finish_reason: str
    messages: list[dict[str, Any]] | None = None
    from_cache: bool = False
    """answered by the call cache: no model was asked and nothing paid, though the tokens are those of the first time"""
    estimated: bool = False
    """the server gave no token counts, or impossible ones"""


@dataclass
class Candidate:
    """One proposed reply of the policy: `action` is None where the reply held none in the style's format."""

    reply: str
    action: str | None
    thought: str = ""
    forgiven: list[str] = field(default_factory=list)
    """what the parser had to forgive"""
    duplicate: bool = False
    score: float | None = None


@dataclass
class Step:
    """One environment step: what was proposed, which was chosen and what came of it."""

    index: int
    candidates: list[Candidate]
    chosen: int
    observation: str
    reward: float
    done: bool
    verdict: Verdict
    subtask: int | None = None
    subtask_done: bool | None = None
    """the judge's verdict after this step; None when it was not asked"""
    executed: str = ""
    """the command the environment ran, after its own parsing"""
    notices: list[str] = field(default_factory=list)
    """e.g. pick_unparsable, verdict_unparsable, loop"""
    fresh: bool = False
    """the dialogue began anew with this step's observation: later prompts show the path's opening, without its first
    observation, and the steps from here on"""

    @property
    def candidate(self) -> Candidate:
        return self.candidates[self.chosen]


@dataclass
class Path:
    """One attempt from the initial state."""

    index: int
    opening: list[dict[str, Any]]
    """the messages before the first reply, backtracking prompt included"""
    subtasks: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    reward: float = 0.0
    outcome: Outcome = Outcome.TASK_LIMIT
    judged_success: bool | None = None
    judged_score: float | None = None
    parent: int | None = None
    """tree search: the node this one grew from"""


@dataclass
class Trajectory:
    """One episode. `reward` and `outcome` are those of the path that counts, `paths[selected]`; where the budget ran
    out, `outcome` is budget and `limit` says which."""

    sample: str
    trial: int = 0
    paths: list[Path] = field(default_factory=list)
    calls: list[ModelCall] = field(default_factory=list)
    selected: int = 0
    reward: float = 0.0
    success: bool = False
    outcome: Outcome = Outcome.TASK_LIMIT
    limit: str = ""
    """which budget ran out, or the infrastructure error's message"""
    seconds: float = 0.0
    replayed_steps: int = 0
    """environment steps spent on restoring a state"""
    notices: dict[str, int] = field(default_factory=dict)
    """e.g. planner_unparsable: 1"""
    metadata: dict[str, Any] = field(default_factory=dict)
    """sample facts wanted in reports: task type, difficulty …"""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_json(self) -> str:
        """`to_dict` on one line, in ASCII: lone surrogates, which model output may hold, stay writable that way."""
        # `asdict` copies every value first: a large part of what an evaluation took beside model and environment.
        return json.dumps(self, default=vars, separators=(",", ":"))

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Trajectory:
        """Raises KeyError, TypeError or ValueError on a record that does not fit."""
        return _decode(cls, record)

    def count(self, notice: str, by: int = 1) -> None:
        self.notices[notice] = self.notices.get(notice, 0) + by


def _decode(kind: Any, value: Any) -> Any:
    """Rebuild dataclasses and enums from JSON values by the annotations; unknown keys are ignored so that
    an older reader survives a newer record."""
    if get_origin(kind) is list:
        (inner,) = get_args(kind)
        return [_decode(inner, item) for item in value]
    if is_dataclass(kind) and isinstance(kind, type):
        hints = _field_types(kind)
        return kind(**{name: _decode(hints[name], item) for name, item in value.items() if name in hints})
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(value)
    return value


@cache
def _field_types(kind: type) -> dict[str, Any]:
    """Evaluating the annotations anew for every object took 30 times as long as the rest of the decoding."""
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in fields(kind)}
