"""What an episode has spent, and the check before every call and step."""

from __future__ import annotations

import time
from collections.abc import Callable

from agentx.reasoning.settings import BudgetSettings


class BudgetExhausted(Exception):
    """The next call or step would exceed a limit; `limit` reads like 'max_calls=20'."""

    def __init__(self, name: str, value: float) -> None:
        self.limit = f"{name}={value}"
        super().__init__(self.limit)


class Budget:
    """Counts calls, tokens and environment steps of one episode against its settings."""

    def __init__(self, settings: BudgetSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self.calls = 0
        self.tokens = 0
        self.steps = 0
        self._clock = clock
        self._started = clock()

    @property
    def seconds(self) -> float:
        return self._clock() - self._started

    @property
    def seconds_left(self) -> float | None:
        limit = self.settings.max_seconds
        return None if limit is None else max(0.0, limit - self.seconds)

    def before_calls(self, number: int = 1) -> None:
        """Raises BudgetExhausted unless all `number` calls may be made: a part of a step's candidates would
        be paid for and never used."""
        limits = self.settings
        if limits.max_calls is not None and self.calls + number > limits.max_calls:
            raise BudgetExhausted("max_calls", limits.max_calls)
        if limits.max_tokens is not None and self.tokens >= limits.max_tokens:
            raise BudgetExhausted("max_tokens", limits.max_tokens)
        self._check_seconds()

    def before_step(self) -> None:
        """Raises BudgetExhausted when no environment step is left."""
        limits = self.settings
        if limits.max_steps is not None and self.steps >= limits.max_steps:
            raise BudgetExhausted("max_steps", limits.max_steps)
        self._check_seconds()

    def out_of_time(self) -> BudgetExhausted:
        """The error for a call that was stopped under way."""
        return BudgetExhausted("max_seconds", self.settings.max_seconds or 0.0)

    def _check_seconds(self) -> None:
        if self.seconds_left == 0.0:
            raise self.out_of_time()
