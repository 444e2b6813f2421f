"""Sweeps (`-m`, or an experiment that brings its own): every combination is checked before the first runs, a
failing job does not stop the others, and a table at the end says what became of each.
"""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path
from typing import Any

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from agentx import config as configuration
from agentx.errors import UserError
from agentx.jobs.job_record import RECORD, one_line, read_records

log = logging.getLogger(__name__)
_failed_jobs = 0


def exit_code() -> int:
    """1 when a job of this process's sweep failed, else 0."""
    return 1 if _failed_jobs else 0


def combinations(config: DictConfig) -> list[list[str]]:
    """The overrides of every job that the sweep will run, as Hydra's basic sweeper expands them."""
    params = OmegaConf.to_container(config.hydra.sweeper.get("params") or OmegaConf.create({}), resolve=False)
    assert isinstance(params, dict)
    arguments = [f"{key!s}={value}" for key, value in params.items()] + list(config.hydra.overrides.task)
    overrides = OverridesParser.create().parse_overrides(arguments)
    return [job for batch in BasicSweeper.split_arguments(overrides, None) for job in batch]


class SweepCallback(Callback):
    """Hydra calls this around a sweep. It leaves by SystemExit because Hydra turns other errors into warnings."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        for earlier in Path(config.hydra.sweep.dir).glob(f"*/{RECORD}"):
            earlier.unlink()  # of a sweep in the same folder: it would be counted as this one's
        if "BasicSweeper" not in str(config.hydra.sweeper._target_):
            return
        jobs = combinations(config)
        for overrides in jobs:
            try:
                configuration.from_hydra(compose("config", overrides=overrides))
            except UserError as error:
                print(f"error: {error} (in the combination {' '.join(overrides)})", file=sys.stderr)
                raise SystemExit(error.exit_code) from error
        log.info("%d jobs, all valid", len(jobs))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        global _failed_jobs
        directory = Path(config.hydra.sweep.dir)
        records = read_records(directory)
        _failed_jobs = sum(record.status != "passed" for record in records)
        try:
            from agentx.jobs.report import print_sweep

            print_sweep(records, directory, Path(config.paths.output))
        except Exception as error:
            traceback.print_exc()
            print(f"error: the sweep's table could not be made: {one_line(error)}", file=sys.stderr)
            raise SystemExit(1) from error
