"""Which jobs a sweep has, and how they are launched until each has an end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from agentx.errors import ConfigError
from agentx.experiments import jobs_of
from agentx.jobs.job_record import (
    FAILED,
    PASSED,
    PUT_OFF,
    RUNNING,
    SKIPPED,
    JobRecord,
    latest,
    read_records,
    write_record,
)
from agentx.jobs.sweep import print_jobs
from agentx.jobs.sweeper import Rounds


def test_values_are_combined_within_a_line_and_lines_add_up():
    jobs = jobs_of({}, ["method=io,react task=os", "method=ours num_path=1,2"], [])
    assert jobs == [
        ["method=io", "task=os"],
        ["method=react", "task=os"],
        ["method=ours", "num_path=1"],
        ["method=ours", "num_path=2"],
    ]


def test_without_lines_it_is_hydras_own_product():
    assert jobs_of({"lambda": "0.1,0.3"}, [], ["seed=1,2"]) == [
        [f"lambda={ratio}", f"seed={seed}"] for ratio in (0.1, 0.3) for seed in (1, 2)
    ]


def test_the_command_line_replaces_an_option_of_every_line_and_leaves_no_job_twice():
    jobs = jobs_of({}, ["model=a,b method=io", "model=c method=io", "model=c method=cot"], ["model=x", "seed=3"])
    assert jobs == [["method=io", "model=x", "seed=3"], ["method=cot", "model=x", "seed=3"]]


def test_a_line_may_be_a_list_for_values_with_blanks():
    assert jobs_of({}, [["model.system_prompt='be brief'", "seed=1"]], []) == [
        ["model.system_prompt='be brief'", "seed=1"]
    ]


def test_an_interval_is_refused():
    with pytest.raises(ConfigError, match="interval"):
        jobs_of({}, [], ["lambda=interval(0,1)"])


class Launched:
    """Stands for the sweeper: what each job does is told by `does`, job and number of the attempt → status."""

    max_batch_size = None

    def __init__(self, directory: Path, does: Callable[[str, int], str | None]) -> None:
        self.directory, self.does = directory, does
        self.attempts: list[str] = []
        self.batches: list[int] = []

    @staticmethod
    def split_overrides_to_chunks(jobs, size):
        yield jobs

    def launch(self, jobs: Sequence[list[str]], first: int) -> None:
        self.batches.append(len(jobs))
        for number, job in enumerate(jobs):
            self.attempts.append(job[0])
            status = self.does(job[0], self.attempts.count(job[0]))
            if status is not None:
                claim = str(self.directory / "nothing" / ".claim") if status == PUT_OFF else ""
                write_record(self.directory / str(first + number), JobRecord(job, status, claim=claim))
            if status in (None, RUNNING):
                raise RuntimeError("a worker died")


def run(directory: Path, names: str, does: Callable[[str, int], str | None]) -> tuple[Launched, dict[str, JobRecord]]:
    sweeper = Launched(directory, does)
    Rounds(sweeper, directory, dead_after=1).run([[name] for name in names])  # type: ignore[arg-type]
    return sweeper, {record.overrides[0]: record for record in latest(read_records(directory))}


def test_a_failed_job_stops_no_other_and_is_not_repeated(tmp_path):
    sweeper, records = run(tmp_path, "abc", lambda name, _: FAILED if name == "a" else PASSED)
    assert sweeper.attempts == ["a", "b", "c"]
    assert [records[name].status for name in "abc"] == [FAILED, PASSED, PASSED]


def test_jobs_that_another_process_works_on_are_come_back_to(tmp_path):
    sweeper, records = run(tmp_path, "ab", lambda name, attempt: PUT_OFF if name == "a" and attempt < 3 else PASSED)
    assert sweeper.attempts == ["a", "b", "a", "a"]
    assert all(record.status == PASSED for record in records.values())


def test_a_worker_that_dies_takes_only_its_job_with_it(tmp_path):
    """b kills its worker each time, and the first time the launcher with it, before c has started."""
    sweeper, records = run(tmp_path, "abc", lambda name, _: RUNNING if name == "b" else PASSED)
    assert sweeper.attempts.count("b") == 2 and sweeper.attempts.count("a") == 1
    assert records["c"].status == PASSED
    assert records["b"].status == FAILED and "its process died 2 times" in records["b"].reason
    assert sweeper.batches == [3, 1, 1], "what may have died of another one's fault goes alone"


def test_an_interrupted_sweep_names_what_was_not_run(tmp_path):
    def does(name: str, _: int) -> str:
        if name == "b":
            raise KeyboardInterrupt
        return PASSED

    sweeper = Launched(tmp_path, does)
    rounds = Rounds(sweeper, tmp_path, dead_after=1)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        rounds.run([["a"], ["b"], ["c"]])
    rounds.record_unstarted([["a"], ["b"], ["c"]])
    assert [record.status for record in latest(read_records(tmp_path))] == [PASSED, SKIPPED, SKIPPED]


def test_the_table_says_what_became_of_each_job(tmp_path, capsys):
    records = [
        JobRecord(["seed=1", "task=os"], PASSED, 12.0),
        JobRecord(["seed=2", "task=os"], FAILED, 3.0, "no such directory", "cells/x"),
        JobRecord(["seed=3", "task=os"], SKIPPED, 0.0, "finished earlier"),
    ]
    print_jobs(records, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[2:3]] == [["seed=1", "passed", "12"]]
    assert "no such directory" in lines[3] and "cells/x" in lines[4] and "finished earlier" in lines[5]
    assert lines[-1].startswith("1 of 3 jobs passed, 1 skipped, 1 failed")
