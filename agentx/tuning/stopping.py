"""Ctrl-C during tuning: the step is finished and kept, so that the same command goes on exactly there."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytorch_lightning as pl


class StopBetweenSteps(pl.Callback):
    """The first Ctrl-C ends the tuning after the optimiser step in progress, with a checkpoint at `path`; the second
    one at once. On several devices, whose processes would stop at different steps, the first one does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._wanted = False
        self._earlier: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.world_size == 1 and threading.current_thread() is threading.main_thread():
            self._earlier = signal.signal(signal.SIGINT, self._stop)

    def _stop(self, *_: object) -> None:
        self._wanted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("stopping after this step; Ctrl-C again stops at once", file=sys.stderr, flush=True)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._wanted and (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._restore()

    def _restore(self) -> None:
        if self._earlier is not None:
            signal.signal(signal.SIGINT, self._earlier)
            self._earlier = None
