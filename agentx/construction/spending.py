"""What a run has paid and the limits it stops at; calls that were answered once are never paid again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from agentx.construction.journal import Journal
from agentx.construction.record import Cost
from agentx.construction.settings import SpendingSettings
from agentx.conversation import Message
from agentx.models.chat import ChatModel, Completion, Request, Sampling


class OutOfBudget(Exception):
    """No further call may be begun; `limit` reads like 'job.budget.max_calls=20'."""

    def __init__(self, name: str, value: float) -> None:
        self.limit = f"job.budget.{name}={value:g}"
        super().__init__(self.limit)


@dataclass(frozen=True)
class Price:
    """Dollars for a million tokens."""

    prompt: float
    completion: float

    def of(self, cost: Cost) -> float:
        return (cost.prompt_tokens * self.prompt + cost.completion_tokens * self.completion) / 1e6


class Spending:
    """Counts calls against the limits of the whole run; `paid` holds what earlier starts paid as well."""

    def __init__(self, limits: SpendingSettings) -> None:
        self.limits, self.paid = limits, Cost()
        self._underway = 0

    def begin(self) -> None:
        """Raises OutOfBudget where the limit is reached. What calls under way will cost is not known yet: max_calls is
        exact, the others can be overrun by them."""
        limits, paid = self.limits, self.paid
        if limits.max_calls is not None and paid.calls + self._underway >= limits.max_calls:
            raise OutOfBudget("max_calls", limits.max_calls)
        if limits.max_tokens is not None and paid.tokens >= limits.max_tokens:
            raise OutOfBudget("max_tokens", limits.max_tokens)
        if limits.max_dollars is not None and (paid.dollars or 0.0) >= limits.max_dollars:
            raise OutOfBudget("max_dollars", limits.max_dollars)
        self._underway += 1

    def end(self, cost: Cost | None) -> None:
        """The call is over; `cost` is None where it brought no answer."""
        self._underway -= 1
        if cost is not None:
            self.paid.add(cost)


class PaidModel:
    """A ChatModel whose answers are kept before anyone sees them, and given again instead of being asked for twice.

    A call is the same where model, messages, decoding and seed are.
    """

    def __init__(self, model: ChatModel, served_name: str, price: Price | None, answers: Answers) -> None:
        self.model, self.served_name, self.price, self.answers = model, served_name, price, answers
        self.name, self.context_length = model.name, model.context_length

    async def generate(self, messages: Sequence[Message], sampling: Sampling, request: Request) -> Completion:
        key = _key(self.served_name, messages, sampling, request.seed)
        known = self.answers.take(key)
        if known is not None:
            return known
        spending = self.answers.spending
        spending.begin()
        cost = None
        try:
            completion = await self.model.generate(messages, sampling, request)
            cost = cost_of(completion, self.price)
            self.answers.keep(key, completion, cost, self.served_name, request.role)
        finally:
            spending.end(cost)
        return completion

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return self.model.count_tokens(messages)

    async def close(self) -> None:
        await self.model.close()


class Answers:
    """The paid answers of a run, in a journal; `spending` counts them, those of earlier starts included."""

    def __init__(self, journal: Journal, spending: Spending) -> None:
        self.spending = spending
        self._journal = journal
        self._known: dict[str, Completion] = {}
        for record in journal.records():
            completion = Completion(**record["completion"])
            if completion.text.strip():
                self._known[record["key"]] = completion
            spending.paid.add(Cost(**record["cost"]))

    def take(self, key: str) -> Completion | None:
        return self._known.get(key)

    def keep(self, key: str, completion: Completion, cost: Cost, model: str, role: str) -> None:
        self._journal.append(
            {"key": key, "model": model, "role": role, "completion": asdict(completion), "cost": asdict(cost)}
        )
        if completion.text.strip():  # an empty answer may be the server's trouble: it is paid, and asked for again
            self._known[key] = completion

    def close(self) -> None:
        self._journal.close()


def cost_of(completion: Completion, price: Price | None) -> Cost:
    cost = Cost(1, completion.prompt_tokens, completion.completion_tokens)
    cost.dollars = None if price is None else price.of(cost)
    return cost


def _key(model: str, messages: Sequence[Message], sampling: Sampling, seed: int) -> str:
    asked = [model, [[message.role, message.content] for message in messages], asdict(sampling), seed]
    return hashlib.sha256(json.dumps(asked).encode("ascii")).hexdigest()
