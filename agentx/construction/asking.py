"""Asking a role for a reply until it has the right form, and keeping account of what that took."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from agentx.construction import wording
from agentx.construction.household_problem import BadReply, ImpossibleProblem
from agentx.construction.record import Cost, Dialogue, Reason
from agentx.conversation import Message
from agentx.models.chat import ChatModel, ContextOverflow, Request, Sampling
from agentx.models.prices import Price
from agentx.models.spending import Spent
from agentx.trajectory import Purpose

T = TypeVar("T")

_REFUSAL = re.compile(
    r"\b(?:I(?:'|’)?m sorry|I am sorry|I apologi[sz]e|sorry, but)\b.{0,80}"
    r"\b(?:can(?:'|’)?t|cannot|unable|won(?:'|’)?t)\b"
    r"|\bas an? (?:AI|artificial intelligence|language model)\b"
    r"|\bI (?:can(?:'|’)?t|cannot|won(?:'|’)?t|am (?:not able|unable) to) "
    r"(?:help|assist|comply|do that|continue|provide)",
    re.IGNORECASE | re.DOTALL,
)


class WritingFailed(Exception):
    """A dialogue cannot be written to its end; what there is of it is kept as rejected."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Role:
    """Who plays a role: its model, the longest reply, its prompt file and what a call costs."""

    name: str
    model: ChatModel
    prompt: str
    sampling: Sampling
    price: Price | Literal["own"] | None = None


class Crew:
    """The roles at work on one dialogue."""

    def __init__(self, roles: Mapping[str, Role], dialogue: Dialogue, seed: int, asks: int) -> None:
        self._roles, self._dialogue, self._seed, self._asks = roles, dialogue, seed, asks

    async def ask(self, name: str, messages: Sequence[Message], step: int, read: Callable[[str], T]) -> T:
        """What `read` makes of the role's reply. A reply it refuses (BadReply) is answered with its complaint, up to
        `asks` replies in all.

        Raises WritingFailed where none could be used, and what the model raises.
        """
        role = self._roles[name]
        asked = list(messages)
        failure = WritingFailed(Reason.MALFORMED, "")
        for attempt in range(self._asks):
            if attempt:
                self._dialogue.malformed += 1
            reply = await self._call(role, asked, step, attempt)
            if not reply.strip():
                failure = WritingFailed(Reason.EMPTY, f"{name}, turn {step}: empty reply")
                continue
            try:
                return read(reply)
            except BadReply as error:
                refused = _REFUSAL.search(reply) is not None
                impossible = isinstance(error, ImpossibleProblem)
                reason = Reason.REFUSED if refused else Reason.IMPOSSIBLE_PROBLEM if impossible else Reason.MALFORMED
                failure = WritingFailed(reason, f"{name}, turn {step}: {error}: {_short(reply)}")
                complaint = wording.text(role.prompt, "again", complaint=error)
                asked += [Message("assistant", reply), Message("user", complaint)]
        raise failure

    async def _call(self, role: Role, messages: Sequence[Message], step: int, attempt: int) -> str:
        request = Request(self._seed, self._dialogue.id, 0, 0, step, attempt, role.name, Purpose.WRITE)
        try:
            completion = await role.model.generate(messages, role.sampling, request)
        except ContextOverflow as error:
            raise WritingFailed(Reason.CONTEXT_LIMIT, f"{role.name}, turn {step}: {error}") from None
        self._dialogue.costs.setdefault(role.name, Cost()).add(Cost.of(Spent.on(completion), role.price))
        if completion.finish_reason == "content_filter":
            raise WritingFailed(Reason.REFUSED, f"{role.name}, turn {step}: the server's content filter")
        return completion.text


def _short(reply: str) -> str:
    line = " ".join(reply.split())
    return line if len(line) <= 160 else line[:159] + "…"
