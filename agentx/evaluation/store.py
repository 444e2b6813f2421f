"""The results of one cell: append-only files of finished episodes that survive `kill -9` at any byte.

`episodes.jsonl` holds one line per scored episode with its whole trajectory. Episodes that ended in an
infrastructure error go to `infrastructure_errors.jsonl` instead: they are never scored, and the next run tries
them again. A write that was cut short leaves a last line without a line feed; whoever opens or appends next moves
it to `episodes.jsonl.torn`, so that the files stay plain JSON lines.

Processes of one machine, or of several over a file system with working locks, may append to the same cell: each
line is written under an exclusive lock.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentx.errors import UserError
from agentx.trajectory import Outcome, Trajectory

log = logging.getLogger(__name__)

EPISODES = "episodes.jsonl"
INFRASTRUCTURE_ERRORS = "infrastructure_errors.jsonl"

Episode = tuple[str, int]
"""(sample id, trial): what identifies an episode within a cell"""


class ResultStore:
    """What `directory` (made when missing) knows of finished episodes.

    A line that reached the operating system survives the death of the process. Against the death of the machine
    the file is forced to disk at most every `fsync_seconds`, and on `close`; 0 forces it after every episode.
    """

    def __init__(self, directory: str | Path, fsync_seconds: float = 5.0) -> None:
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._fsync_seconds = fsync_seconds
        self._synced = time.monotonic()
        self._unsynced: set[Path] = set()
        self._unreadable: dict[Path, set[int]] = {}
        for path in (self.episodes_path, self.infrastructure_path):
            if path.exists():
                with _locked(path) as descriptor:
                    _set_torn_tail_aside(path, descriptor)

    @property
    def episodes_path(self) -> Path:
        return self.directory / EPISODES

    @property
    def infrastructure_path(self) -> Path:
        return self.directory / INFRASTRUCTURE_ERRORS

    @property
    def torn(self) -> int:
        """Episodes lost to a write that was cut short, over the cell's whole life."""
        aside = _torn_path(self.episodes_path)
        return aside.read_bytes().count(b"\n") if aside.exists() else 0

    @property
    def unreadable(self) -> int:
        """Whole lines of `episodes.jsonl`, as far as read, that hold no trajectory (disk damage, edits by hand)."""
        return len(self._unreadable.get(self.episodes_path, ()))

    def done(self) -> set[Episode]:
        """The episodes that have a scored result."""
        return {(trajectory.sample, trajectory.trial) for trajectory in self._read(self.episodes_path)}

    def append(self, trajectory: Trajectory) -> None:
        """Keep a finished episode. Raises OSError (disk full …), in which case nothing of it is kept."""
        failed = trajectory.outcome is Outcome.INFRASTRUCTURE_ERROR
        path = self.infrastructure_path if failed else self.episodes_path
        line = trajectory.to_json().encode("ascii") + b"\n"
        with _locked(path) as descriptor:
            _set_torn_tail_aside(path, descriptor)
            size = os.fstat(descriptor).st_size
            try:
                _write(descriptor, line)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        self._unsynced.add(path)
        if time.monotonic() - self._synced >= self._fsync_seconds:
            self.sync()

    def trajectories(self) -> list[Trajectory]:
        """Every scored episode, sorted by sample and trial. Of several results for one episode the first counts."""
        return list(self._read(self.episodes_path))

    def stream(self) -> Iterator[tuple[Trajectory, str]]:
        """Every scored episode with its line as it was written, one at a time and in the order of the file: for cells
        that are too big to be held. Of several results for one episode the first counts."""
        seen: set[Episode] = set()
        for trajectory, line in self._parsed(self.episodes_path):
            key = (trajectory.sample, trajectory.trial)
            if key not in seen:
                seen.add(key)
                yield trajectory, line.decode("utf-8", errors="replace").strip()

    def infrastructure_errors(self) -> list[Trajectory]:
        """The latest infrastructure error of each episode that has no scored result yet, sorted."""
        done = self.done()
        errors = self._read(self.infrastructure_path, latest=True)
        return [error for error in errors if (error.sample, error.trial) not in done]

    def sync(self) -> None:
        """Force what was appended to disk."""
        for path in self._unsynced:
            descriptor = os.open(path, os.O_WRONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self._unsynced.clear()
        self._synced = time.monotonic()

    def close(self) -> None:
        self.sync()

    def _read(self, path: Path, latest: bool = False) -> list[Trajectory]:
        found: dict[Episode, Trajectory] = {}
        for trajectory, _ in self._parsed(path):
            key = (str(trajectory.sample), int(trajectory.trial))
            if latest or key not in found:
                found[key] = trajectory
        return [found[key] for key in sorted(found)]

    def _parsed(self, path: Path) -> Iterator[tuple[Trajectory, bytes]]:
        """The lines that hold a trajectory; the others are counted and warned of, once."""
        bad = self._unreadable.setdefault(path, set())
        for number, line in _whole_lines(path):
            try:
                trajectory = Trajectory.from_dict(json.loads(line))
                _ = str(trajectory.sample), int(trajectory.trial)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                if number not in bad:
                    bad.add(number)
                    log.warning(
                        "%s line %d holds no trajectory (%s): left out, its episode runs again", path, number, error
                    )
                continue
            yield trajectory, line


def _whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines that end in a line feed: another process may be in the middle of the last one."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n"):
                yield number, line


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise UserError(
                f"{path}: the file system refuses locks ({error.strerror}); set paths.output to one that has them"
            ) from error
        yield descriptor
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _torn_path(path: Path) -> Path:
    return path.with_name(path.name + ".torn")


def _set_torn_tail_aside(path: Path, descriptor: int) -> None:
    """Move bytes after the last line feed to the `.torn` file; call with the lock held.

    A line that lacks nothing but its line feed is a whole result and gets it.
    """
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    start, tail = size, b""
    while start > 0 and b"\n" not in tail:
        block = min(start, 1 << 16)
        start -= block
        tail = os.pread(descriptor, block, start) + tail
    tail = tail[tail.rfind(b"\n") + 1 :]
    try:
        json.loads(tail)
    except (ValueError, RecursionError):
        aside = _torn_path(path)
        # Killed between the two steps, the next repair finds the same bytes set aside already.
        if not (aside.exists() and aside.read_bytes().endswith(tail + b"\n")):
            torn = os.open(aside, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                _write(torn, tail + b"\n")
                os.fsync(torn)
            finally:
                os.close(torn)
        os.ftruncate(descriptor, size - len(tail))
        log.warning("%s: the last line was cut short (%d bytes); its episode runs again", path, len(tail))
    else:
        _write(descriptor, b"\n")
