"""`job=tune`: make the adapter that a configuration asks for, once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentx.config import Config
from agentx.errors import UserError
from agentx.jobs import cells
from agentx.jobs.claims import claimed
from agentx.jobs.job_log import follow
from agentx.jobs.sweep import puts_jobs_off
from agentx.jobs.tuning_data import TuningSets, tuning_data

if TYPE_CHECKING:
    from agentx.tuning.run import AdapterResult

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AdapterPlan:
    """An adapter before it is made: where it will be, and what from."""

    directory: Path
    identity: Mapping[str, Any] = field(repr=False)
    sets: TuningSets = field(repr=False)


def run(config: Config) -> Path:
    """Returns the adapter's directory."""
    plan = plan_adapter(config)
    follow(plan.directory)
    return ensure_adapter(config, plan).path


def plan_adapter(config: Config) -> AdapterPlan:
    """What the configuration's adapter is made of. Raises UserError for data or weights that are not there."""
    from agentx.models.loading import load_renderer
    from agentx.tuning.base import check_tunable, weights_digest
    from agentx.tuning.settings import NOT_DECISIVE

    sets = tuning_data(config)
    settings = {name: value for name, value in cells.plain(config.tuning).items() if name not in NOT_DECISIVE}
    check_tunable(config.model, config.tuning)
    identity = {
        "weights": weights_digest(config.model),
        "model": {"name": config.model.name, "lora_targets": config.model.lora_targets, "dtype": config.model.dtype},
        "template": load_renderer(config.model).sha256,
        "tuning": settings,
        "lambda": config.agent_ratio,
        "seed": config.seed,
        "agent": cells.fingerprint([c.to_dict() for c in sets.agent]),
        "general": cells.fingerprint([c.to_dict() for c in sets.general]),
    }
    label = f"{config.model.name}-{config.tuning.name}-lambda{config.agent_ratio:g}"
    return AdapterPlan(cells.open_cell(config, "adapters", label, identity), identity, sets)


def ensure_adapter(config: Config, plan: AdapterPlan, *, may_train: bool = True) -> AdapterResult:
    """The planned adapter: found, resumed, or trained now. Cells that share it train it once, also when they run at
    the same time. Raises UserError when it would have to be trained and may not."""
    from agentx.tuning.run import tune

    made = plan.directory / "adapter"
    if not may_train and not made.is_dir():
        raise UserError(
            f"job={config.job.name}: there is no adapter for this configuration yet; run job=tune or job=experiment "
            "with it first, or evaluate the model as it is with tuning=none"
        )
    with claimed(made, wait=not puts_jobs_off(), dead_after=config.sweep.dead_after):
        result = tune(
            config.model,
            config.tuning,
            config.trainer,
            config.logger,
            agent=plan.sets.agent,
            general=plan.sets.general,
            skipped=plan.sets.skipped,
            on_error=config.data.on_error,
            agent_ratio=config.agent_ratio,
            seed=config.seed,
            data_seed=config.data.seed,
            output=plan.directory,
        )
    realised = result.realised
    log.info(
        "adapter %s: %s, realised λ %.2f of the examples and %.2f of the trained tokens",
        "found" if result.reused else f"tuned in {result.seconds:.0f} s",
        result.path,
        realised["lambda_examples"],
        realised["lambda_tokens"],
    )
    return result
