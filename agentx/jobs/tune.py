"""`job=tune`: make the adapter that a configuration asks for, once."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from agentx.config import Config
from agentx.errors import UserError
from agentx.jobs import cells
from agentx.jobs.tuning_data import locked, tuning_data

if TYPE_CHECKING:
    from agentx.tuning.run import AdapterResult

log = logging.getLogger(__name__)


def run(config: Config) -> Path:
    """Returns the adapter's directory."""
    return ensure_adapter(config).path


def ensure_adapter(config: Config, *, may_train: bool = True) -> AdapterResult:
    """The adapter of this configuration: found, resumed, or trained now. Cells that share it train it once, also
    when they run at the same time. Raises UserError when it would have to be trained and may not."""
    from agentx.tuning.base import weights_digest
    from agentx.tuning.run import NOT_DECISIVE, tune

    agent, general = tuning_data(config)
    settings = {name: value for name, value in cells.plain(config.tuning).items() if name not in NOT_DECISIVE}
    identity = {
        "weights": weights_digest(config.model),
        "model": {"name": config.model.name, "lora_targets": config.model.lora_targets, "dtype": config.model.dtype},
        "tuning": settings,
        "lambda": config.agent_ratio,
        "seed": config.seed,
        "agent": cells.fingerprint([c.to_dict() for c in agent]),
        "general": cells.fingerprint([c.to_dict() for c in general]),
    }
    label = f"{config.model.name}-{config.tuning.name}-lambda{config.agent_ratio:g}"
    directory = cells.open_cell(config, "adapters", label, identity)
    if not may_train and not (directory / "adapter").is_dir():
        raise UserError(
            f"job={config.job.name}: there is no adapter for this configuration yet; run job=tune or job=experiment "
            "with it first, or evaluate the model as it is with tuning=none"
        )
    with locked(directory / "adapter"):
        result = tune(
            config.model,
            config.tuning,
            config.trainer,
            config.logger,
            agent=agent,
            general=general,
            agent_ratio=config.agent_ratio,
            seed=config.seed,
            data_seed=config.data.seed,
            output=directory,
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
