"""What became of one job of a sweep, kept in its folder so that the table is right whatever launcher ran it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from agentx.errors import UserError

RECORD = "job.json"
RUNNING, PASSED, FAILED, SKIPPED, PUT_OFF = "running", "passed", "failed", "skipped", "put off"


@dataclass
class JobRecord:
    """What became of one job of a sweep."""

    overrides: list[str]
    status: str = RUNNING
    """running (its process died, if the sweep is over), passed, failed, skipped, put off"""
    seconds: float = 0.0
    reason: str = ""
    cell: str = ""
    """directory of the results and of the log, where the job came so far"""
    claim: str = ""
    """put off: the claim to wait for"""
    started: float = field(default_factory=time.time)


def write_record(directory: Path, record: JobRecord) -> None:
    """Whole or not at all: another process may be reading."""
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / f".{RECORD}.{os.getpid()}"
    temporary.write_text(json.dumps(asdict(record), indent=1), encoding="utf-8", errors="backslashreplace")
    temporary.replace(directory / RECORD)


def reason_of(error: BaseException) -> str:
    """One line for the table."""
    return str(error).strip() if isinstance(error, UserError) else one_line(error)


def one_line(error: BaseException) -> str:
    """Kind and first line of an error."""
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0] if first else ''}"[:300]


def read_records(directory: Path) -> list[JobRecord]:
    """The records below a sweep's folder, in the order in which the jobs started; a broken one is left out."""
    records = []
    for path in directory.rglob(RECORD):
        try:
            records.append(JobRecord(**json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError):
            continue
    return sorted(records, key=lambda record: record.started)


def latest(records: Iterable[JobRecord]) -> list[JobRecord]:
    """One record a job, the latest, in the order in which the jobs first started: a job that was put off or whose
    process died has several."""
    found: dict[tuple[str, ...], JobRecord] = {}
    for record in sorted(records, key=lambda each: each.started):
        found[tuple(record.overrides)] = record
    return list(found.values())


def of_job(records: Sequence[JobRecord], overrides: Sequence[str]) -> JobRecord | None:
    return next((record for record in records if record.overrides == list(overrides)), None)
