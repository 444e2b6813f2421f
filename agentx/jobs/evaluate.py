"""`job=evaluate`: play every episode of a cell that has no result yet, and score the cell."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from agentx.config import Config, load
from agentx.errors import UserError
from agentx.jobs import cells, ranks

log = logging.getLogger(__name__)


def run(config: Config) -> Path:
    """Returns the cell's directory. With tuning, the adapter must have been made before."""
    return run_cell(config, may_train=False)


def run_cell(config: Config, *, may_train: bool) -> Path:
    """Find (or, if it may, train) the adapter, evaluate, print the table; returns the cell's directory."""
    adapter = None
    if config.tuning.name != "none":
        from agentx.jobs.tune import ensure_adapter

        adapter = ensure_adapter(config, may_train=may_train).path
    directory = evaluate(config, adapter)
    # A sweep prints one table, at its end.
    if ranks.is_first() and HydraConfig.get().mode != RunMode.MULTIRUN:
        from agentx.jobs.report import print_cells

        print_cells([directory], config.paths.output)
    return directory


def evaluate(config: Config, adapter: Path | None) -> Path:
    """Run what is missing of the cell and return its directory, with summary.json in it."""
    import pytorch_lightning as pl

    from agentx.evaluation.module import EpisodeData, EvaluationModule, evaluate_cell
    from agentx.models.chat import Roles
    from agentx.models.loading import open_model
    from agentx.reasoning.method import Method
    from agentx.tuning.adapters import served
    from agentx.tuning.trainer import build_logger, quiet

    directory = cells.open_cell(config, "cells", label(config), identity(config, adapter))
    task = load(f"agentx.tasks.{config.task.name}.task:make_task")(config.task, config.paths)
    if not task.samples:
        raise UserError(f"task={config.task.name}: has no samples with these settings; see task.samples and task.split")

    def open_roles(device: Any) -> Roles:
        model, lora = (config.model, None) if adapter is None else served(config.model, adapter)
        return Roles.all_one(open_model(model, config.backend, lora))

    module = EvaluationModule(
        task, Method(config.method), open_roles, directory, config.evaluation, config.budget, config.seed
    )
    with quiet():
        trainer = pl.Trainer(
            accelerator=config.trainer.accelerator,
            devices=config.trainer.devices,
            strategy=config.trainer.strategy,
            num_nodes=config.trainer.num_nodes,
            # A cell's numbers are in summary.json; a file of one line beside it would say nothing more.
            logger=build_logger(config.logger, directory) if config.logger.name != "csv" else False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=directory,
        )
        evaluate_cell(trainer, module, EpisodeData(task, directory, config.evaluation))
    return directory


def label(config: Config) -> str:
    tuned = "untuned" if config.tuning.name == "none" else f"lambda{config.agent_ratio:g}"
    return f"{config.task.name}-{config.model.name}-{tuned}-{config.method.name}"


def identity(config: Config, adapter: Path | None) -> dict[str, Any]:
    """Everything that can change an episode of this cell, and nothing that cannot."""
    tuned: dict[str, Any] | None = None
    if adapter is not None:
        from agentx.tuning.adapters import AdapterCard

        tuned = {"fingerprint": AdapterCard.read(adapter).fingerprint}
    weights = config.model.served_name
    if config.model.kind == "local" and config.backend.name != "openai":
        from agentx.tuning.base import weights_digest

        weights = weights_digest(config.model)
    model = {key: value for key, value in asdict(config.model).items() if key not in ("gated", "licence", "parameters")}
    return {
        "model": model,
        "weights": weights,
        "adapter": tuned,
        "task": asdict(config.task),
        "method": asdict(config.method),
        "budget": asdict(config.budget),
        "backend": config.backend.name,
        "seed": config.seed,
        "trials": config.evaluation.trials,
        "prompts": cells.prompts_fingerprint(config.task.name),
    }
