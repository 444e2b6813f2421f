"""What people decided: a file that only grows, so that nothing decided is lost to a crash."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from filelock import FileLock

from agentx.errors import UserError

log = logging.getLogger(__name__)

JUDGEMENTS = ("accept", "reject")
PREFERENCES = ("first", "second", "tie", "neither")


@dataclass(frozen=True)
class Decision:
    """One reviewer's word on one item. `choice` is one of JUDGEMENTS, or of PREFERENCES for a pair; empty: taken back.
    `edits` maps the position of a turn to its new text."""

    item: str
    reviewer: str
    choice: str
    comment: str = ""
    edits: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    """from showing it to deciding"""
    at: float = 0.0
    """Unix time"""


class Decisions:
    """The decisions in `path`. Of several by one reviewer on one item the latest counts.

    Several processes may write to one file. A line cut short by a crash is passed over with a warning.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(f"{path}.lock")
        self._latest: dict[tuple[str, str], Decision] = {}
        self._read_to = 0
        self.refresh()

    def refresh(self) -> None:
        """Take in what other processes have written since."""
        if not self.path.exists():
            return
        with self._lock, self.path.open("rb") as file:
            file.seek(self._read_to)
            for line in file:
                self._read_to += len(line)
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            record = json.loads(line)
            decision = Decision(**{f.name: record[f.name] for f in fields(Decision) if f.name in record})
        except (ValueError, KeyError, TypeError) as error:
            log.warning("%s: a line holds no decision (%s): left out", self.path, error)
            return
        self._latest[decision.item, decision.reviewer] = decision

    def add(self, decision: Decision) -> None:
        """Keep a decision, on disk before this returns. Raises UserError when it cannot be written."""
        line = json.dumps({**asdict(decision), "at": decision.at or time.time()}).encode() + b"\n"
        self.refresh()
        try:
            with self._lock, self.path.open("ab+") as file:
                file.seek(0, os.SEEK_END)
                if file.tell():
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":  # a crash cut the last line short
                        file.write(b"\n")
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(f"{self.path}: the decision could not be written ({error.strerror})") from error
        self.refresh()

    def of(self, item: str, reviewer: str) -> Decision | None:
        """The decision that counts; None where there is none, or it was taken back."""
        decision = self._latest.get((item, reviewer))
        return decision if decision is not None and decision.choice else None

    def on(self, item: str) -> list[Decision]:
        return [decision for decision in self.counting() if decision.item == item]

    def counting(self) -> list[Decision]:
        return [decision for decision in self._latest.values() if decision.choice]

    def reviewers(self) -> list[str]:
        return sorted({decision.reviewer for decision in self.counting()})

    def by(self, reviewer: str, items: Iterable[str]) -> dict[str, str]:
        """item → choice of one reviewer, of the items named."""
        wanted = set(items)
        return {d.item: d.choice for d in self.counting() if d.reviewer == reviewer and d.item in wanted}
