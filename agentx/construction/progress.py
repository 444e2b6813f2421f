"""Progress of a construction run: one live line on a terminal, a quiet line now and then elsewhere."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.text import Text

from agentx.construction.record import Cost, Dialogue, Verdict

log = logging.getLogger(__name__)


class ConstructionProgress:
    """`household  12/50  7 verified  2 repaired  3 rejected  4 under way  1.24 USD  182,034 tokens  1:16 left`.

    Use as a context manager. Costs are those of the run's trajectories; `paid` is asked for what was paid in all.
    """

    def __init__(self, label: str, total: int, console: Console | None = None, quiet_seconds: float = 30.0) -> None:
        self.label, self.total = label, total
        self.paid: Callable[[], Cost] | None = None
        """tells what the calls cost, dialogues under way and earlier starts included; None where nothing is paid"""
        self.currency = ""
        """of the prices; empty where none is known"""
        self._counts: Counter[str] = Counter()
        self._own = Cost()
        self._earlier = self._now = self._underway = self._failed = 0
        self._console = console or Console(stderr=True)
        self._quiet_seconds = quiet_seconds
        self._live: Live | None = None
        self._started = self._logged = time.monotonic()

    def __enter__(self) -> ConstructionProgress:
        self._started = self._logged = time.monotonic()
        if self._console.is_terminal:
            self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=2)
            self._live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.__exit__(None, None, None)
        elif self._now:
            log.info("%s", self.line())

    def before(self, dialogue: Dialogue, verdict: Verdict) -> None:
        """A trajectory that an earlier start finished."""
        self._earlier += 1
        self._count(dialogue, verdict)

    def began(self) -> None:
        self._underway += 1

    def ended(self) -> None:
        self._underway -= 1

    def failed(self, counts: bool) -> None:
        self._failed += counts

    def finished(self, dialogue: Dialogue, verdict: Verdict) -> None:
        self._now += 1
        self._count(dialogue, verdict)
        now = time.monotonic()
        if self._live is None and now - self._logged >= self._quiet_seconds:
            self._logged = now
            log.info("%s", self.line())

    def _count(self, dialogue: Dialogue, verdict: Verdict) -> None:
        self._counts[verdict.status.value] += 1
        self._own.add(Cost.total(dialogue.costs.values()))

    def line(self) -> str:
        """The state in words."""
        done = self._earlier + self._now
        parts = [f"{self.label}  {done}/{self.total}"]
        parts += [f"{self._counts[status]} {status}" for status in ("verified", "repaired", "rejected")]
        if self._failed:
            parts.append(f"{self._failed} failed")
        if self._underway:
            parts.append(f"{self._underway} under way")
        cost = self._own if self.paid is None else self.paid()
        if cost.money:
            parts.append(f"{cost.money:,.2f} {self.currency}")
        parts.append(f"{cost.tokens:,} tokens")
        seconds = time.monotonic() - self._started
        left = self.total - done
        if self._now and left > 0:
            minutes, rest = divmod(round(left * seconds / self._now), 60)
            parts.append(f"{minutes}:{rest:02d} left")
        return "  ".join(parts)

    def _render(self) -> Text:
        return Text(self.line(), no_wrap=True, overflow="ellipsis")
