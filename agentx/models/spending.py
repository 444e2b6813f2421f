"""What the calls of a whole run cost, and the limits that stop it.

Every call that a model answered leaves a line in the cell's ledger, whether its episode was finished or not. Limits
count what earlier commands spent on the same cell, and what its other processes spend: the ledger is shared.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from agentx.conversation import Message
from agentx.models.chat import ChatModel, Completion, Request, Sampling
from agentx.models.prices import Price
from agentx.models.settings import RunBudgetSettings

LEDGER = "calls.jsonl"
"""in the cell's directory; one line per call that was made"""


class RunBudgetReached(Exception):
    """The whole run's budget is spent: no further call is made. `limit` reads like 'run_budget.max_calls=20'."""

    def __init__(self, name: str, value: float) -> None:
        self.limit = f"run_budget.{name}={value:g}"
        super().__init__(self.limit)


@dataclass
class Spent:
    """Sums over calls. An unfinished call was given up while it was under way: what it cost is not known."""

    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    estimated: int = 0
    """calls whose token counts are guesses"""
    unfinished: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def add(self, other: Spent) -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    @classmethod
    def on(cls, completion: Completion) -> Spent:
        return cls(
            1,
            completion.prompt_tokens,
            completion.cached_tokens,
            completion.completion_tokens,
            int(completion.estimated),
        )


class Ledger:
    """The cell's ledger at `path`, and the limits. `prices` holds the price of each role that has one.

    Lines of other processes are read as they come, before each call.
    """

    def __init__(
        self, path: Path, limits: RunBudgetSettings | None = None, prices: Mapping[str, Price] | None = None
    ) -> None:
        self.by_role: dict[str, Spent] = {}
        self._limits = limits or RunBudgetSettings()
        self._prices = prices or {}
        self._in_flight = 0
        self._read = 0
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)

    def begin(self) -> None:
        """A call is about to be made. Raises RunBudgetReached where no more may be: what goes past a limit is at most
        what the calls in flight use."""
        limits = self._limits
        self._in_flight += 1
        if not any(value is not None for value in vars(limits).values()):
            return
        try:
            self._check(limits)
        except RunBudgetReached:
            self._in_flight -= 1
            raise

    def _check(self, limits: RunBudgetSettings) -> None:
        self.refresh()
        calls = sum(spent.calls for spent in self.by_role.values()) + self._in_flight
        if limits.max_calls is not None and calls > limits.max_calls:
            raise RunBudgetReached("max_calls", limits.max_calls)
        if limits.max_tokens is not None and sum(s.tokens for s in self.by_role.values()) >= limits.max_tokens:
            raise RunBudgetReached("max_tokens", limits.max_tokens)
        if limits.max_cost is not None and self.cost() >= limits.max_cost:
            raise RunBudgetReached("max_cost", limits.max_cost)

    def end(self, role: str, spent: Spent | None) -> None:
        """The call is over. None: it was refused or failed, and cost nothing."""
        self._in_flight -= 1
        if spent is not None:
            line = json.dumps({"role": role, **{k: v for k, v in vars(spent).items() if v}}) + "\n"
            os.write(self._descriptor, line.encode())

    def cost(self) -> float:
        """Of the roles with a price, in their currency."""
        return sum(price_of(spent, self._prices[role]) for role, spent in self.by_role.items() if role in self._prices)

    def refresh(self) -> None:
        """Take in what this and other processes have written since."""
        size = os.fstat(self._descriptor).st_size
        if size <= self._read:
            return
        data = os.pread(self._descriptor, size - self._read, self._read)
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        for role, spent in parse(whole):
            self.by_role.setdefault(role, Spent()).add(spent)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read_ledger(path: Path) -> dict[str, Spent]:
    """What a cell has spent by role; empty without a ledger."""
    totals: dict[str, Spent] = {}
    if path.exists():
        for role, spent in parse(path.read_bytes()):
            totals.setdefault(role, Spent()).add(spent)
    return dict(sorted(totals.items()))


def parse(lines: bytes) -> list[tuple[str, Spent]]:
    """The ledger's lines; one that a dying machine left broken is passed over."""
    found = []
    names = {field.name for field in fields(Spent)}
    for line in lines.splitlines():
        try:
            record = json.loads(line)
            spent = Spent(**{name: int(value) for name, value in record.items() if name in names})
            found.append((str(record["role"]), spent))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue
    return found


def price_of(spent: Spent, price: Price) -> float:
    return price.cost(spent.prompt_tokens, spent.cached_tokens, spent.completion_tokens)


class MeteredModel:
    """A ChatModel whose calls go into the ledger and stop at its limits."""

    def __init__(self, model: ChatModel, ledger: Ledger) -> None:
        self.name, self.context_length = model.name, model.context_length
        self.wrapped, self._ledger = model, ledger

    async def generate(self, messages: Sequence[Message], sampling: Sampling, request: Request) -> Completion:
        """Raises RunBudgetReached besides what the model raises."""
        self._ledger.begin()
        spent: Spent | None = None
        try:
            completion = await self.wrapped.generate(messages, sampling, request)
            spent = Spent.on(completion)
        except asyncio.CancelledError:
            spent = Spent(calls=1, unfinished=1)
            raise
        finally:
            self._ledger.end(request.role, spent)
        return completion

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return self.wrapped.count_tokens(messages)

    async def close(self) -> None:
        self._ledger.close()
        await self.wrapped.close()
