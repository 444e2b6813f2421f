"""Files that survive `kill -9` at any byte: JSON lines, each written whole before anyone hears of it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


class Journal:
    """An append-only file of JSON objects with one writer. A last line that was cut short is cut off on opening."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab+")
        self._cut_torn_tail()

    def append(self, record: Mapping[str, Any]) -> None:
        """Returns when the operating system has the line: from then on the death of this process cannot take it."""
        # Escaping everything beyond ASCII keeps lone surrogates, which model output may hold, writable.
        line = json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"
        self._file.write(line)
        self._file.flush()

    def records(self) -> Iterator[dict[str, Any]]:
        """Whole lines that hold an object; others (disk damage, edits by hand) are left out with a warning."""
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    record = json.loads(line)
                except ValueError:
                    record = None
                if isinstance(record, dict):
                    yield record
                else:
                    log.warning("%s line %d holds no record: left out", self.path, number)

    def close(self) -> None:
        """Forces everything to disk."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def _cut_torn_tail(self) -> None:
        size = self._file.seek(0, os.SEEK_END)
        keep = size
        while keep:
            start = max(0, keep - 65536)
            self._file.seek(start)
            found = self._file.read(keep - start).rfind(b"\n")
            if found >= 0:
                keep = start + found + 1
                break
            keep = start
        if keep < size:
            log.warning("%s: the last line was cut short by an interruption; it is left out", self.path)
            self._file.truncate(keep)
        self._file.seek(0, os.SEEK_END)
