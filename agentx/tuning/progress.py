"""How far a tuning is: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agentx.tuning.module import TuningModule

Report = Callable[[int, int, str], None]
"""Called after every optimiser step with steps done, steps in all and a short account."""


class TuningProgress(pl.Callback):
    """Shows progress on the first device; `report` takes the place of the display."""

    def __init__(self, report: Report | None = None, line_every: float = 5.0) -> None:
        self.report = report
        self.line_every = line_every
        self._bar: Progress | None = None
        self._task: Any = None
        self._start = (0, 0.0)
        self._last = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start = (trainer.global_step, time.perf_counter())
        self._last = self._start[1]
        console = Console(stderr=True)
        if trainer.is_global_zero and self.report is None and console.is_terminal:
            columns = (
                TextColumn("tuning"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[account]}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=console, transient=True)
            done, total = trainer.global_step, trainer.max_steps
            self._task = self._bar.add_task("tuning", completed=done, total=total, account="")
            self._bar.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_global_zero or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        assert isinstance(pl_module, TuningModule)
        done, total = trainer.global_step, trainer.max_steps
        now = time.perf_counter()
        seconds = max(now - self._start[1], 1e-9)
        rate = (pl_module.plan.tokens(done) - pl_module.plan.tokens(self._start[0])) / seconds
        account = f"loss {pl_module.history[-1]['loss']:.3f}, {rate:,.0f} tokens/s"
        if self.report is not None:
            self.report(done, total, account)
        elif self._bar is not None:
            self._bar.update(self._task, completed=done, account=account)
        elif now - self._last >= self.line_every:
            self._last = now
            left = seconds / (done - self._start[0]) * (total - done)
            print(f"tuning: step {done} of {total}, {account}, {_clock(left)} left", file=sys.stderr, flush=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
