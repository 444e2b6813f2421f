"""Progress of a run: one live line on a terminal, a quiet line now and then elsewhere."""

from __future__ import annotations

import logging
import time
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from agentx.trajectory import Outcome, Trajectory

log = logging.getLogger(__name__)

BAR = 24
"""characters"""


class Progress(Protocol):
    """What the runner tells whoever watches."""

    def finished(self, trajectory: Trajectory) -> None:
        """An episode ended: scored, or with an infrastructure error after all tries."""
        ...


class ProgressLine:
    """`label  ━━━╌╌╌ 12/50  success 25.0 %  30 episodes/min  1:16 left`.

    `total` counts the episodes of the whole cell, `done` and `successes` those finished by earlier runs. Use as a
    context manager. On a terminal the line is redrawn twice a second at most; elsewhere it is logged at the start,
    at the end and every `quiet_seconds` in between.
    """

    def __init__(
        self,
        label: str,
        total: int,
        done: int = 0,
        successes: int = 0,
        console: Console | None = None,
        quiet_seconds: float = 30.0,
    ) -> None:
        self.label, self.total, self.done, self.successes = label, total, done, successes
        self.errors = 0
        self._before = done
        self._console = console or Console(stderr=True)
        self._live: Live | None = None
        self._quiet_seconds = quiet_seconds
        self._started = self._logged = time.monotonic()

    def __enter__(self) -> ProgressLine:
        self._started = self._logged = time.monotonic()
        if self._console.is_terminal:
            self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=2)
            self._live.__enter__()
        elif self.done < self.total:
            log.info("%s", self.line())
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.__exit__(None, None, None)
        elif self.done > self._before or self.errors:
            log.info("%s", self.line())

    def finished(self, trajectory: Trajectory) -> None:
        if trajectory.outcome is Outcome.INFRASTRUCTURE_ERROR:
            self.errors += 1
        else:
            self.done += 1
            self.successes += trajectory.success
        now = time.monotonic()
        if self._live is None and now - self._logged >= self._quiet_seconds:
            self._logged = now
            log.info("%s", self.line())

    def line(self) -> str:
        """The state in words."""
        parts = [f"{self.label}  {self.done}/{self.total}"]
        if self.done:
            parts.append(f"success {100 * self.successes / self.done:.1f} %")
        if self.errors:
            parts.append(f"{self.errors} infrastructure errors")
        ended = self.done - self._before + self.errors
        seconds = time.monotonic() - self._started
        if ended and seconds > 0:
            parts.append(f"{60 * ended / seconds:.0f} episodes/min")
            left = self.total - self.done - self.errors
            if left > 0:
                minutes, rest = divmod(round(left * seconds / ended), 60)
                parts.append(f"{minutes}:{rest:02d} left")
        return "  ".join(parts)

    def _render(self) -> Text:
        filled = round(BAR * self.done / self.total) if self.total else BAR
        return Text(f"{'━' * filled}{'╌' * (BAR - filled)} {self.line()}", no_wrap=True, overflow="ellipsis")
