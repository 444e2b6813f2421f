"""Run the job that a configuration names, and record what became of it when it is part of a sweep."""

from __future__ import annotations

import importlib
import json
import logging
import time
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from agentx.config import Config
from agentx.jobs import ranks
from agentx.jobs.claims import ClaimedElsewhere, ClaimLost
from agentx.jobs.interrupts import keyboard_interrupts
from agentx.jobs.job_log import JobLog
from agentx.jobs.job_record import FAILED, PASSED, PUT_OFF, SKIPPED, JobRecord, reason_of, write_record
from agentx.jobs.needs import describe, needs_of

log = logging.getLogger(__name__)


def run_job(config: Config) -> None:
    """Run `agentx.jobs.<job.name>.run(config)`. In a sweep an error is recorded instead of raised, so that the
    other jobs run; Ctrl-C always ends everything."""
    # Of the processes of one job, the first speaks and records what became of it.
    if not ranks.is_first():
        logging.getLogger().setLevel(logging.WARNING)
        _run(config)
        return
    if config.sweep.dry_run:
        print(describe(needs_of([config])))
        return
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        _run_in_sweep(config)
        return
    job_log = JobLog(config)
    try:
        with job_log:
            _run(config)
    except Exception as error:
        _track_failure(config, job_log, error)
        raise


def _run(config: Config) -> Path | None:
    job = importlib.import_module(f"agentx.jobs.{config.job.name}")
    with keyboard_interrupts():
        result: Path | None = job.run(config)
    return result


def _track_failure(config: Config, job_log: JobLog, error: Exception) -> None:
    """Of a job that failed before it opened a run of its own."""
    if job_log.cell is not None and config.logger.uses("wandb") and not (job_log.cell / "wandb.json").exists():
        from agentx.jobs.tracking import track_failure

        try:
            track_failure(config, job_log.cell, error)
        except Exception as problem:
            log.warning("the failure could not be logged to W&B: %s", problem)


def _run_in_sweep(config: Config) -> None:
    directory = Path(HydraConfig.get().runtime.output_dir)
    record = JobRecord(list(HydraConfig.get().overrides.task))
    write_record(directory, record)
    started = time.monotonic()
    job_log = JobLog(config)
    try:
        with job_log:
            result = _run(config)
        _conclude(record, result, job_log)
    except ClaimedElsewhere as error:
        record.status, record.reason, record.claim = PUT_OFF, f"{error.holder} works on it", str(error.claim)
    except ClaimLost as error:
        record.status, record.reason, record.claim = PUT_OFF, reason_of(error), ""
    except Exception as error:
        record.status, record.reason = FAILED, reason_of(error)
        _track_failure(config, job_log, error)
    except BaseException:
        record.status, record.reason = SKIPPED, "interrupted; the same command goes on with it"
        raise
    finally:
        record.cell = str(job_log.cell or record.cell)
        record.seconds = round(time.monotonic() - started, 1)
        write_record(directory, record)
    if record.status == FAILED:
        log.error("failed: %s%s", record.reason, f" (log and traceback in {record.cell})" if record.cell else "")


def _conclude(record: JobRecord, result: Path | None, job_log: JobLog) -> None:
    record.status = PASSED
    if job_log.cell is None:
        record.cell = str(result or "")
    elif job_log.was_finished:
        record.status, record.reason = SKIPPED, "finished earlier"
    else:
        unplayed = _unplayed(job_log.cell)
        if unplayed:
            record.status, record.reason = FAILED, f"{unplayed}; the same command plays them again"


def _unplayed(cell: Path) -> str:
    """What is missing of a cell whose job ended without an error; empty where nothing is."""
    try:
        summary = json.loads((cell / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    if not summary["missing"]:
        return ""
    return f"{len(summary['missing'])} of {summary['expected']} episodes could not be played"
