"""`job=evaluate`: play every episode of a cell that has no result yet, and score the cell."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from agentx.config import Config, load
from agentx.errors import UserError
from agentx.evaluation.store import EPISODES
from agentx.jobs import cells, doctor, memory_check, ranks
from agentx.jobs.assignments import assignments, own_models
from agentx.jobs.claims import claimed
from agentx.jobs.job_log import follow, is_finished
from agentx.jobs.sweep import puts_jobs_off
from agentx.models.settings import constrains

if TYPE_CHECKING:
    from agentx.jobs.tune import AdapterPlan

log = logging.getLogger(__name__)


def run(config: Config) -> Path:
    """Returns the cell's directory. With tuning, the adapter must have been made before."""
    return run_cell(config, may_train=False)


def run_cell(config: Config, *, may_train: bool) -> Path:
    """Find (or, if it may, train) the adapter, evaluate, print the table; returns the cell's directory."""
    _require_task(config)
    doctor.before_a_run(config)
    plan = None
    if config.tuning.name != "none":
        from agentx.jobs.tune import plan_adapter

        plan = plan_adapter(config)
    from agentx.jobs.tracking import tracked

    directory = cells.open_cell(config, "cells", label(config), identity(config, plan))
    with claimed(directory / EPISODES, wait=not puts_jobs_off(), dead_after=config.sweep.dead_after):
        follow(directory)
        finished = is_finished(directory)
        if not finished:
            doctor.before_calls(config)
            memory_check.require_generating(config)
        with tracked(config, directory, finished=finished) as run:
            adapter = None
            if plan is not None:
                from agentx.jobs.tune import ensure_adapter

                made = ensure_adapter(config, plan, may_train=may_train)
                adapter = made.path
                if run is not None:
                    run.adapter(made.path, made.reused)
            if not finished:
                evaluate(config, adapter, directory)
    if adapter is not None and ranks.is_first():
        _note_score(config, adapter, directory)
    # A sweep prints one table, at its end.
    if ranks.is_first() and HydraConfig.get().mode != RunMode.MULTIRUN:
        from agentx.jobs.report import print_cells

        print_cells([directory], config.paths.output)
    return directory


def _note_score(config: Config, adapter: Path, cell: Path) -> None:
    """Append the cell's result to the adapter's README.md. A cell that is not whole yet says nothing there."""
    from agentx.tuning.model_card import add_score

    summary = json.loads((cell / "summary.json").read_text(encoding="utf-8"))
    if not summary["complete"]:
        return
    score = {
        "label": summary["label"],
        "method": f"{config.method.name}{_others(config)}",
        "n": summary["n"],
        "success_rate": {key: summary["success_rate"][key] for key in ("low", "value", "high")},
        "reward": summary["reward"]["value"],
    }
    with claimed(adapter.with_name("scores"), dead_after=config.sweep.dead_after):  # cells share adapters
        add_score(adapter, cell.name, score)


def evaluate(config: Config, adapter: Path | None, directory: Path) -> None:
    """Run what is missing of the cell in `directory`; its summary.json is then up to date."""
    import pytorch_lightning as pl

    from agentx.evaluation.module import EpisodeData, EvaluationModule, evaluate_cell
    from agentx.jobs import roles
    from agentx.models.chat import Roles
    from agentx.reasoning.method import Method
    from agentx.tuning.trainer import build_loggers, evaluation_strategy, quiet

    task = load(f"agentx.tasks.{config.task.name}.task:make_task")(config.task, config.paths)
    if not task.samples:
        raise UserError(f"task={config.task.name}: has no samples with these settings; see task.samples and task.split")
    about = getattr(task, "about", None)
    if about and ranks.is_first():
        cells.record_task(directory, about)

    if ranks.is_first():
        roles.note(config, adapter, directory)
        if config.evaluation.trials > 1 and config.method.policy_temperature == 0:
            log.warning(
                "evaluation.trials=%d with method.policy_temperature=0: greedy trials of a sample mostly repeat each "
                "other; set the temperature above 0 to learn how results vary",
                config.evaluation.trials,
            )

    def open_roles(device: Any) -> Roles:
        return roles.open_roles(config, adapter, directory)

    module = EvaluationModule(
        task, Method(config.method), open_roles, directory, config.evaluation, config.budget, config.seed
    )
    with quiet():
        trainer = pl.Trainer(
            accelerator=config.trainer.accelerator,
            devices=config.trainer.devices,
            strategy=evaluation_strategy(config.trainer),
            num_nodes=config.trainer.num_nodes,
            # A cell's numbers are in summary.json; a file of one line beside it would say nothing more.
            logger=build_loggers(config.logger, directory, leave_out=["csv"]),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=directory,
        )
        evaluate_cell(trainer, module, EpisodeData(task, directory, config.evaluation))


def _require_task(config: Config) -> None:
    """A task that needs something of the machine is asked before hours of tuning. Raises UserError."""
    name = f"agentx.tasks.{config.task.name}.availability"
    if find_spec(name):
        import_module(name).require(config.task)


def label(config: Config) -> str:
    tuned = "untuned" if config.tuning.name == "none" else f"lambda{config.agent_ratio:g}"
    return f"{config.task.name}-{config.model.name}-{tuned}-{config.method.name}{_others(config)}"


def _others(config: Config) -> str:
    """A planner's and judge's own models, for names."""
    return "".join(f"-{role}_{model.name}" for role, (model, _) in own_models(config).items())


def identity(config: Config, adapter: AdapterPlan | None) -> dict[str, Any]:
    """Everything that can change an episode of this cell, and nothing that cannot. It is known before the adapter is
    trained, so that a failing training leaves its log in the cell."""
    from agentx.jobs import roles

    weights, template = config.model.served_name, ""
    if config.model.kind == "local" and config.backend.name != "openai":
        from agentx.models.loading import load_renderer
        from agentx.tuning.base import weights_digest

        weights = weights_digest(config.model)
        template = load_renderer(config.model).sha256
    judge = assignments(config)["judge"]
    constrained = config.method.judge.answers == "auto" and constrains(judge.model, judge.backend)
    model = {key: value for key, value in asdict(config.model).items() if key not in ("gated", "licence", "parameters")}
    if not config.model.omit:
        del model["omit"]  # cells from before there was this option are the same cells
    others = {role: roles.identity(*given) for role, given in own_models(config).items()}
    sources = cells.sources_fingerprint(config.task, config.paths)
    return {
        **others,
        **({} if sources is None else {"sources": sources}),
        "model": model,
        "weights": weights,
        "template": template,
        "adapter": None if adapter is None else adapter.identity,
        "task": asdict(config.task),
        "method": asdict(config.method),
        "budget": asdict(config.budget),
        "backend": config.backend.name,
        "render": config.backend.render if config.backend.name == "openai" else "local",
        "answers": "constrained" if constrained else "parsed",
        "seed": config.seed,
        "trials": config.evaluation.trials,
        "prompts": cells.prompts_fingerprint(config.task.name),
        "code": cells.code_fingerprint(config.task.name),
    }
