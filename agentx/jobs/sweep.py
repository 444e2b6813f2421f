"""Around a sweep: which cells it has, the table at its end, its exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from agentx.jobs.job_record import (
    FAILED,
    PASSED,
    RUNNING,
    SKIPPED,
    JobRecord,
    latest,
    one_line,
    read_records,
    reason_of,
    write_record,
)

SWEEPER = "hydra_plugins.agentx.CellSweeper"
"""Hydra instantiates plugins of this package only, which it looks up by name; see `register_sweeper`."""

_exit_code = 0


def register_sweeper() -> None:
    """Make `agentx.jobs.sweeper` known to Hydra, whose scan for plugins executes the modules of its own ones again: a
    class derived from one of them has to be made after it."""
    plugins = Plugins.instance()
    from agentx.jobs.sweeper import CellSweeper

    plugins.class_name_to_class[SWEEPER] = CellSweeper


def exit_code() -> int:
    """1 when a job of this process's sweep failed, else 0."""
    return _exit_code


def record_failure(error: Exception) -> bool:
    """Keep what ended a job of a sweep before it began; False outside of sweeps."""
    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN:
        return False
    record = JobRecord(list(hydra.overrides.task), FAILED, reason=reason_of(error))
    write_record(Path(hydra.runtime.output_dir), record)
    return True


def puts_jobs_off() -> bool:
    """Whether a job that another process works on is put off, because this sweep comes back to it; else it waits."""
    hydra = HydraConfig.get()
    return hydra.mode == RunMode.MULTIRUN and str(hydra.sweeper.get("_target_")) == SWEEPER


class SweepCallback(Callback):
    """Hydra calls this around a sweep, whatever sweeper runs it."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        for earlier in read_records_of(config):
            earlier.unlink(missing_ok=True)  # of a sweep in the same folder: it would be counted as this one's

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        conclude(config)


def read_records_of(config: DictConfig) -> list[Path]:
    return list(Path(config.hydra.sweep.dir).rglob("job.json"))


def conclude(config: DictConfig) -> None:
    """Print what became of the jobs and the table of their cells; it decides the exit code."""
    global _exit_code
    directory = Path(config.hydra.sweep.dir)
    records = latest(read_records(directory))
    if not records:
        return
    for record in records:
        if record.status == RUNNING:
            record.status, record.reason = FAILED, "its process died"
    _exit_code = int(any(record.status == FAILED for record in records))
    print_jobs(records, directory)
    cells = [Path(record.cell) for record in records if record.status != FAILED and record.cell]
    try:
        from agentx.jobs.report import print_cells, write_curves

        if any((cell / "summary.json").exists() for cell in cells):
            print_cells(cells, Path(config.paths.output))
        elif (curves := write_curves([cell / "adapter" for cell in cells], directory)) is not None:
            print(f"loss curves   {curves}  (also as SVG beside it)")
    except Exception as error:
        traceback.print_exc()
        print(f"error: the sweep's table could not be made: {one_line(error)}", file=sys.stderr)
        # Hydra turns other errors of callbacks into warnings.
        raise SystemExit(1) from error


def print_jobs(records: Sequence[JobRecord], directory: Path) -> None:
    """One line a job, then how many passed, failed and were skipped."""
    shared = _shared_options(records)
    names = [" ".join(o for o in record.overrides if o not in shared) or "(no overrides)" for record in records]
    width = min(max(map(len, names)), 80)
    print(f"\n{'job':{width}}  result   seconds  reason")
    for name, record in zip(names, records, strict=True):
        print(f"{name:{width}}  {record.status:8} {record.seconds:6.0f}  {record.reason}".rstrip())
        if record.status == FAILED and record.cell:
            print(f"{'':{width}}  log and traceback in {record.cell}")
    counts = {status: sum(record.status == status for record in records) for status in (PASSED, FAILED, SKIPPED)}
    more = "".join(f", {counts[status]} {status}" for status in (SKIPPED, FAILED) if counts[status])
    print(f"{counts[PASSED]} of {len(records)} jobs passed{more} ({directory})")


def _shared_options(records: Sequence[JobRecord]) -> set[str]:
    """What all jobs have in common tells none apart."""
    sets = [set(record.overrides) for record in records]
    return set.intersection(*sets) if len(sets) > 1 else set()
