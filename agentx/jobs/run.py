"""Run the job that a configuration names, and record what became of it when it is part of a sweep."""

from __future__ import annotations

import importlib
import logging
import time
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from agentx.config import Config
from agentx.jobs import ranks
from agentx.jobs.job_record import record_job


def run_job(config: Config) -> None:
    """Run `agentx.jobs.<job.name>.run(config)`. In a sweep an error is recorded instead of raised, so that the
    other jobs run; Ctrl-C always ends everything."""
    job = importlib.import_module(f"agentx.jobs.{config.job.name}")
    hydra_config = HydraConfig.get()
    if not ranks.is_first():
        logging.getLogger().setLevel(logging.WARNING)
    # Of the processes of one job, the first records what became of it.
    if hydra_config.mode != RunMode.MULTIRUN or not ranks.is_first():
        job.run(config)
        return
    directory = Path(hydra_config.runtime.output_dir)
    overrides = list(hydra_config.overrides.task)
    started = time.monotonic()
    try:
        cell = job.run(config)
    except Exception as error:
        record_job(directory, overrides, started, "", error)
    else:
        record_job(directory, overrides, started, str(cell or ""), None)
