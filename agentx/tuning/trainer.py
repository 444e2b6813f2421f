"""Lightning's trainer and loggers as the configuration asks for them."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning import loggers
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.strategies import ModelParallelStrategy
from transformers.utils import logging as transformers_logging

from agentx.errors import ConfigError, UserError
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
    """The trainer of a tuning of `steps` optimiser steps; checkpoints go to `output`/checkpoint.

    Raises ConfigError for devices and precisions that do not go together, or a strategy whose package is missing.
    """
    if tuning.precision == "fp16" and settings.accelerator == "cpu":
        raise ConfigError("tuning.precision=fp16: a CPU has no such arithmetic; use bf16 or fp32, or trainer=gpu")
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
        strategy=_strategy(settings, tuning),
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


def _strategy(settings: TrainerSettings, tuning: TuningSettings) -> Any:
    """Lightning's strategy; `fsdp` is its FSDP2, which runs on CPUs too and lets frozen and trained weights mix."""
    if settings.strategy == "fsdp":
        if tuning.name == "qlora":
            raise ConfigError("trainer=fsdp: cannot spread 4-bit weights; use tuning=lora, or trainer=ddp")
        given = settings.devices
        devices = given if isinstance(given, int) else max(1, torch.cuda.device_count())
        return ModelParallelStrategy(
            data_parallel_size=devices * settings.num_nodes, tensor_parallel_size=1, save_distributed_checkpoint=False
        )
    if settings.strategy.startswith("deepspeed"):
        if find_spec("deepspeed") is None:
            raise ConfigError(
                f"trainer.strategy={settings.strategy}: needs the package deepspeed, which is not installed "
                "(pip install deepspeed); trainer=fsdp spreads the weights without it"
            )
        if settings.accelerator == "cpu":
            raise ConfigError(f"trainer.strategy={settings.strategy}: needs GPUs; trainer=fsdp runs on CPUs too")
    return settings.strategy


def evaluation_strategy(settings: TrainerSettings) -> str:
    """How devices share episodes: each has the whole model, whatever tuning does."""
    return "ddp" if settings.strategy == "fsdp" or settings.strategy.startswith("deepspeed") else settings.strategy


def build_loggers(settings: LoggerSettings, output: Path, leave_out: Sequence[str] = ()) -> list[Any]:
    """Lightning's loggers. Raises UserError when a package is not installed."""
    names = dict.fromkeys(name for name in (settings.name, *settings.also) if name not in ("none", *leave_out))
    made = []
    for name in names:
        try:
            made.append(_logger(name, settings, output))
        except ModuleNotFoundError as error:
            raise UserError(
                f"logger={name}: needs a package that is not installed; pip install {EXTRAS[name]}"
            ) from error
    return made


EXTRAS = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow-skinny"}


def _logger(name: str, settings: LoggerSettings, output: Path) -> Any:
    if name == "tensorboard":
        return loggers.TensorBoardLogger(output, name="tensorboard", version="")
    if name == "mlflow":
        # Its own notice that a directory is no database would come with each run.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        where = settings.tracking_uri or (output / "mlruns").absolute().as_uri()
        return loggers.MLFlowLogger(experiment_name=settings.project, run_name=output.name, tracking_uri=where)
    if name == "wandb":
        import wandb

        options: Any = {"project": settings.project, "group": settings.group, "tags": settings.tags}
        offline = settings.mode == "offline"
        # The cell's run where there is one (see agentx.jobs.tracking), else a run of the tuning's own.
        return loggers.WandbLogger(save_dir=output, experiment=wandb.run, offline=offline, **options)
    return loggers.CSVLogger(output, name="", version="")


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
