"""Sweeps (`-m`, or an experiment that brings its own): every combination is checked before the first runs, a
failing job does not stop the others, and a table at the end says what became of each.

Each job leaves `job.json` in its folder below the sweep's, so that the table is right whatever launcher ran it.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from agentx import config as configuration
from agentx.errors import UserError

log = logging.getLogger(__name__)
RECORD = "job.json"
_failed_jobs = 0


@dataclass
class JobRecord:
    """What became of one job of a sweep."""

    overrides: list[str]
    status: str
    """passed or failed"""
    seconds: float
    reason: str = ""
    cell: str = ""
    """directory of the results, as the job left them"""


def exit_code() -> int:
    """1 when a job of this process's sweep failed, else 0."""
    return 1 if _failed_jobs else 0


def record_job(directory: Path, overrides: list[str], started: float, cell: str, error: BaseException | None) -> None:
    """Write the job's record, and the traceback of a failure into its log and `traceback.txt`."""
    reason = "" if error is None else str(error).strip() if isinstance(error, UserError) else _one_line(error)
    status = "passed" if error is None else "failed"
    record = JobRecord(overrides, status, round(time.monotonic() - started, 1), reason, cell)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / RECORD).write_text(json.dumps(asdict(record), indent=1))
    if error is not None:
        text = "".join(traceback.format_exception(error))
        (directory / "traceback.txt").write_text(text)
        log.error("failed: %s (traceback in %s)", reason, directory / "traceback.txt")


def _one_line(error: BaseException) -> str:
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0] if first else ''}"[:300]


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
            print(f"error: the sweep's table could not be made: {_one_line(error)}", file=sys.stderr)
            raise SystemExit(1) from error


def read_records(directory: Path) -> list[JobRecord]:
    """The records of a sweep's jobs, in the order of their numbers."""
    files = sorted(directory.glob(f"*/{RECORD}"), key=lambda path: (len(path.parent.name), path.parent.name))
    return [JobRecord(**json.loads(path.read_text())) for path in files]
