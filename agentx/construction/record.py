"""What is kept of a constructed trajectory: the dialogue as written, what verification made of it, and the record that
tuning reads. docs/construction.md describes the files for whoever reads them elsewhere (a review page, a notebook).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Literal

from agentx.conversation import Message
from agentx.models.prices import Price
from agentx.models.spending import Spent, price_of


class Status(StrEnum):
    """What became of a trajectory."""

    VERIFIED = "verified"
    """the real environment gave every reply that the dialogue holds, and the goal was reached"""
    REPAIRED = "repaired"
    """simulated replies were replaced by the real ones; played again it holds, and the goal was reached"""
    REJECTED = "rejected"


class Reason(StrEnum):
    """Why a trajectory was rejected, in the order of the stages."""

    # writing
    REFUSED = "refused"
    EMPTY = "empty"
    MALFORMED = "malformed"
    IMPOSSIBLE_PROBLEM = "impossible_problem"
    TURN_LIMIT = "turn_limit"
    CONTEXT_LIMIT = "context_limit"
    # verification
    INVALID_ACTION = "invalid_action"
    GOAL_NOT_REACHED = "goal_not_reached"
    INCONSISTENT = "inconsistent"
    """what the agent says does not fit what it is shown, e.g. because it answered to a reply that was replaced"""
    NOT_REPRODUCIBLE = "not_reproducible"
    """played again the real environment said something else"""
    # filters
    CONTRADICTION = "contradiction"
    LOOP = "loop"
    LANGUAGE = "language"
    LENGTH = "length"
    LEAKED = "leaked"
    DUPLICATE = "duplicate"


STAGES: dict[str, tuple[Reason, ...]] = {
    "writing": (
        Reason.REFUSED,
        Reason.EMPTY,
        Reason.MALFORMED,
        Reason.IMPOSSIBLE_PROBLEM,
        Reason.TURN_LIMIT,
        Reason.CONTEXT_LIMIT,
    ),
    "verification": (
        Reason.INVALID_ACTION,
        Reason.GOAL_NOT_REACHED,
        Reason.INCONSISTENT,
        Reason.NOT_REPRODUCIBLE,
    ),
    "filters": (
        Reason.CONTRADICTION,
        Reason.LOOP,
        Reason.LANGUAGE,
        Reason.LENGTH,
        Reason.LEAKED,
        Reason.DUPLICATE,
    ),
}
"""the stages in their order, each with the reasons for which it rejects"""


@dataclass
class Cost:
    """What calls took; `money` is in the currency of the prices, None where a model's price is not known."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float | None = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def add(self, other: Cost) -> None:
        self.calls += other.calls
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        known = self.money is not None and other.money is not None
        self.money = self.money + other.money if known else None  # type: ignore[operator]

    @classmethod
    def of(cls, spent: Spent, price: Price | Literal["own"] | None) -> Cost:
        """At the price of one model; what runs on one's own hardware costs no money."""
        money = None if price is None else 0.0 if price == "own" else price_of(spent, price)
        return cls(spent.calls, spent.prompt_tokens, spent.completion_tokens, money)

    @classmethod
    def total(cls, costs: Sequence[Cost] | Any) -> Cost:
        whole = cls()
        for cost in costs:
            whole.add(cost)
        return whole


@dataclass
class Turn:
    """One reply of the agent and what it was answered."""

    reply: str
    """the agent's words in the react format: a thought, then an action"""
    thought: str
    action: str
    observation: str
    """what the agent was shown next"""
    by: str = "simulated"
    """who answered: simulated (a model) or real (the environment itself)"""
    hint: str = ""
    """what a simulated environment added for the agent; never part of the training text"""
    said: str | None = None
    """environment=verified: the false simulated reply in whose place the real one was shown"""
    real: str | None = None
    """set by verification: what the real environment answered"""
    agrees: bool | None = None
    """set by verification: whether `observation`, or `said` where there is one, says what `real` says"""
    verdict: str = ""
    """set by verification: the environment's verdict on the action (see agentx.trajectory.Verdict)"""


@dataclass
class Dialogue:
    """A trajectory as it was written, or as far as it got. `failure` says why it has no end."""

    index: int
    id: str
    task: str
    kind: str
    problem: dict[str, Any]
    """what the real environment is built from, besides the index"""
    opening: str = ""
    """the first observation"""
    turns: list[Turn] = field(default_factory=list)
    failure: Reason | None = None
    detail: str = ""
    costs: dict[str, Cost] = field(default_factory=dict)
    """by role"""
    malformed: int = 0
    """replies that had to be asked for again"""
    environment: str = "simulated"
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Dialogue:
        """Raises KeyError, TypeError or ValueError on a record that does not fit."""
        values = _known(cls, record)
        values["turns"] = [Turn(**_known(Turn, turn)) for turn in values.get("turns", [])]
        values["costs"] = {role: Cost(**_known(Cost, cost)) for role, cost in values.get("costs", {}).items()}
        values["failure"] = Reason(values["failure"]) if values.get("failure") else None
        return cls(**values)


@dataclass
class Verdict:
    """What verification and filters made of a dialogue."""

    status: Status
    reason: Reason | None = None
    detail: str = ""
    reward: float = 0.0
    replaced: list[int] = field(default_factory=list)
    """turns whose simulated reply gave way to the real one, from 0"""
    replies: int = 0
    """simulated replies that were compared"""
    contradictions: int = 0
    """simulated replies that contradict an earlier one of the same dialogue"""
    trimmed: int = 0
    """turns after the goal had been reached, cut off"""

    @property
    def kept(self) -> bool:
        return self.status is not Status.REJECTED

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Verdict:
        values = _known(cls, record)
        values["status"] = Status(values["status"])
        values["reason"] = Reason(values["reason"]) if values.get("reason") else None
        return cls(**values)


def rejected(reason: Reason, detail: str = "", **facts: Any) -> Verdict:
    return Verdict(Status.REJECTED, reason, detail, **facts)


def sharegpt(
    dialogue: Dialogue,
    verdict: Verdict,
    opening: Sequence[Message],
    replies: Sequence[str],
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """The record that tuning reads: ShareGPT turns as AgentInstruct has them, `loss` on what is to be imitated.

    `opening` is the prompt in front of the first observation, which joins its last message where that is the user's;
    `replies` are the agent's turns as the tuned model is to write them. The last observation is left out: nothing
    follows it.
    """
    turns: list[dict[str, Any]] = [
        {"from": {"system": "system", "user": "human", "assistant": "gpt"}[message.role], "value": message.content}
        for message in opening
    ]
    for shown in turns:
        if shown["from"] == "gpt":
            shown["loss"] = False
    observation = dialogue.opening
    for turn, reply in zip(dialogue.turns, replies, strict=True):
        if turns and turns[-1]["from"] == "human":
            turns[-1]["value"] += f"\n{observation}"
        else:
            turns.append({"from": "human", "value": observation})
        turns.append({"from": "gpt", "value": reply, "loss": turn.verdict in ("", "valid")})
        observation = turn.observation
    return {
        "id": dialogue.id,
        "source": f"{dialogue.task}-constructed",
        "conversations": turns,
        "metadata": {
            **provenance,
            "task": dialogue.task,
            "kind": dialogue.kind,
            "index": dialogue.index,
            "problem": dialogue.problem,
            "environment": dialogue.environment,
            "cost": asdict(Cost.total(dialogue.costs.values())),
            "cost_by_role": {role: asdict(cost) for role, cost in dialogue.costs.items()},
            "verdict": verdict.to_dict(),
            "opening_turns": len(opening),
            "turns": [
                {"by": turn.by, "said": turn.said, "real": turn.real, "agrees": turn.agrees, "verdict": turn.verdict}
                for turn in dialogue.turns
            ],
        },
    }


def _known(kind: type, record: Mapping[str, Any]) -> dict[str, Any]:
    names = {f.name for f in fields(kind)}
    return {name: value for name, value in record.items() if name in names}
