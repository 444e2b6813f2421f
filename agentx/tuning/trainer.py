"""Lightning's trainer and loggers as the configuration asks for them."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import loggers
from pytorch_lightning.callbacks import ModelCheckpoint
from transformers.utils import logging as transformers_logging

from agentx.errors import UserError
from agentx.tuning.settings import LoggerSettings, TrainerSettings, TuningSettings

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def build_trainer(
    settings: TrainerSettings,
    tuning: TuningSettings,
    logger: Any,
    output: Path,
    steps: int,
    callbacks: Sequence[pl.Callback],
) -> pl.Trainer:
    """The trainer of a tuning of `steps` optimiser steps; checkpoints go to `output`/checkpoint."""
    callbacks = [*callbacks]
    if tuning.checkpoint_every:
        callbacks.append(
            ModelCheckpoint(
                output / "checkpoint",
                filename="last",
                every_n_train_steps=tuning.checkpoint_every,
                save_top_k=1,
                enable_version_counter=False,
            )
        )
    return pl.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy=settings.strategy,
        num_nodes=settings.num_nodes,
        precision=PRECISIONS[tuning.precision],  # type: ignore[arg-type]
        max_steps=steps,
        max_epochs=-1,
        gradient_clip_val=tuning.gradient_clip or None,
        use_distributed_sampler=False,
        enable_checkpointing=bool(tuning.checkpoint_every),
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=logger,
        log_every_n_steps=1,
        callbacks=callbacks,
        default_root_dir=output,
    )


def build_logger(settings: LoggerSettings, output: Path) -> Any:
    """Lightning's logger, or False for none. Raises UserError when its package is not installed."""
    try:
        if settings.name == "csv":
            return loggers.CSVLogger(output, name="", version="")
        if settings.name == "tensorboard":
            return loggers.TensorBoardLogger(output, name="tensorboard", version="")
        if settings.name == "wandb":
            return loggers.WandbLogger(
                save_dir=output,
                project=settings.project,
                group=settings.group,
                tags=settings.tags,
                offline=settings.mode == "offline",
            )
    except ModuleNotFoundError as error:
        raise UserError(f"logger={settings.name}: needs a package that is not installed ({error.name})") from error
    return False


@contextmanager
def quiet() -> Iterator[None]:
    """Without Lightning's notices on devices and worker counts, and without the progress bars of reading and writing
    weights."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    channels = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [each.level for each in channels]
    for each in channels:
        each.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric)\.")
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        try:
            yield
        finally:
            if shown:
                transformers_logging.enable_progress_bar()
            for each, level in zip(channels, levels, strict=True):
                each.setLevel(level)
