"""The sweeper behind `-m` and experiments: every cell is checked before the first runs, a failing or dying job stops no
other, and jobs that another process works on are come back to.

With several machines over one directory, each runs the same command: they share the cells out by claims.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from omegaconf import OmegaConf

from agentx import config as configuration
from agentx.config import Config
from agentx.errors import UserError
from agentx.experiments import jobs_of, lines_of
from agentx.jobs.claims import wait_for_any
from agentx.jobs.job_record import (
    FAILED,
    PUT_OFF,
    RUNNING,
    SKIPPED,
    JobRecord,
    latest,
    of_job,
    one_line,
    read_records,
    write_record,
)
from agentx.jobs.needs import describe, needs_of
from agentx.jobs.sweep import conclude
from agentx.reports.planned import write_plan

log = logging.getLogger(__name__)

Job = list[str]
DEATHS = 2
"""so often a job's process may die before the job counts as failed"""


class CellSweeper(BasicSweeper):
    """Hydra's basic sweeper with lists of cells: `params` are combined with each other as Hydra does; each entry of
    `cells` is a line of options of which those with several values are combined, too. `cells` may be a mapping from
    scales to such lists."""

    def __init__(self, max_batch_size: int | None = None, params: Any = None, cells: Any = None) -> None:
        super().__init__(max_batch_size, params)
        self.cells = cells or []

    def sweep(self, arguments: list[str]) -> Any:
        assert self.config is not None
        lines = lines_of(self.cells, self.config.hydra.runtime.choices.get("scale"))
        jobs = jobs_of(self.params, lines, arguments)
        configs = [checked(job) for job in jobs]
        if configs and configs[0].sweep.dry_run:
            for job in jobs:
                print(" ".join(job))
        needs = needs_of(configs)
        if needs:
            print(describe(needs), flush=True)
        log.info("%d jobs, all valid", len(jobs))
        if configs and configs[0].sweep.dry_run:
            return []
        write_plan(jobs, configs)
        directory = Path(self.config.hydra.sweep.dir)
        directory.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, directory / "multirun.yaml")
        rounds = Rounds(self, directory, configs[0].sweep.dead_after if configs else 0.0)
        try:
            rounds.run(jobs)
        except KeyboardInterrupt:
            rounds.record_unstarted(jobs)
            conclude(self.config)
            raise
        return []

    def launch(self, jobs: Sequence[Job], first: int) -> None:
        """Raises what the launcher raises, e.g. when a worker process died."""
        assert self.launcher is not None
        self.launcher.launch(jobs, initial_job_idx=first)


class Rounds:
    """Launches jobs until each has passed, failed or been skipped."""

    def __init__(self, sweeper: CellSweeper, directory: Path, dead_after: float) -> None:
        self.sweeper, self.directory, self.dead_after = sweeper, directory, dead_after
        self.deaths: Counter[tuple[str, ...]] = Counter()
        self.launched = 0

    def run(self, jobs: Sequence[Job]) -> None:
        pending = list(jobs)
        while pending:
            problem = ""
            for batch in self._batches(pending):
                first = self.launched
                self.launched += len(batch)
                try:
                    self.sweeper.launch(batch, first)
                except Exception as error:
                    problem = one_line(error)
                    log.warning("the launcher stopped: %s", problem)
            pending = self._left(pending, problem)

    def _batches(self, jobs: list[Job]) -> Iterator[list[Job]]:
        """Jobs whose process died go alone: they may have taken others with them."""
        alone = [job for job in jobs if self.deaths[tuple(job)]]
        together = [job for job in jobs if not self.deaths[tuple(job)]]
        if together:
            yield from self.sweeper.split_overrides_to_chunks(together, self.sweeper.max_batch_size)
        for job in alone:
            yield [job]

    def _left(self, jobs: list[Job], problem: str) -> list[Job]:
        """The jobs to launch again; waits where all of them are being run by other processes."""
        records = latest(read_records(self.directory))
        died: list[Job] = []
        put_off: list[JobRecord] = []
        for job in jobs:
            record = of_job(records, job)
            if record is None or record.status == RUNNING:
                self.deaths[tuple(job)] += 1
                if self.deaths[tuple(job)] < DEATHS:
                    died.append(job)
                else:
                    self._record(JobRecord(job, FAILED, reason=f"its process died {DEATHS} times. {problem}".strip()))
            elif record.status == PUT_OFF:
                put_off.append(record)
        if put_off and not died:
            log.info("waiting for %d jobs that other processes work on", len(put_off))
            wait_for_any([Path(record.claim) for record in put_off if record.claim], self.dead_after)
        return [*died, *(record.overrides for record in put_off)]

    def record_unstarted(self, jobs: Sequence[Job]) -> None:
        """For the table of an interrupted sweep."""
        records = latest(read_records(self.directory))
        for job in jobs:
            record = of_job(records, job)
            if record is None or record.status in (RUNNING, PUT_OFF):
                self._record(JobRecord(job, SKIPPED, reason="interrupted; the same command goes on with it"))

    def _record(self, record: JobRecord) -> None:
        write_record(self.directory / str(self.launched), record)
        self.launched += 1


def checked(job: Job) -> Config:
    """The job's configuration. Ends the program with one line when it is wrong: nothing has been run then."""
    try:
        return configuration.from_hydra(compose("config", overrides=job))
    except UserError as error:
        print(f"error: {error} (in the combination {' '.join(job)})", file=sys.stderr)
        raise SystemExit(error.exit_code) from error
