"""What became of one job of a sweep, kept in its folder so that the table is right whatever launcher ran it."""

from __future__ import annotations

import json
import logging
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from agentx.errors import UserError

log = logging.getLogger(__name__)
RECORD = "job.json"


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


def record_job(directory: Path, overrides: list[str], started: float, cell: str, error: BaseException | None) -> None:
    """Write the job's record, and the traceback of a failure into its log and `traceback.txt`."""
    reason = "" if error is None else str(error).strip() if isinstance(error, UserError) else one_line(error)
    status = "passed" if error is None else "failed"
    record = JobRecord(overrides, status, round(time.monotonic() - started, 1), reason, cell)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / RECORD).write_text(json.dumps(asdict(record), indent=1))
    if error is not None:
        text = "".join(traceback.format_exception(error))
        (directory / "traceback.txt").write_text(text)
        log.error("failed: %s (traceback in %s)", reason, directory / "traceback.txt")


def one_line(error: BaseException) -> str:
    """Kind and first line of an error."""
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0] if first else ''}"[:300]


def read_records(directory: Path) -> list[JobRecord]:
    """The records of a sweep's jobs, in the order of their numbers."""
    files = sorted(directory.glob(f"*/{RECORD}"), key=lambda path: (len(path.parent.name), path.parent.name))
    return [JobRecord(**json.loads(path.read_text())) for path in files]
