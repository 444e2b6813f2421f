"""Claims: one process at a time works on a cell, an adapter or a data set, also of several machines that share the
directory.

A claim is a file beside the thing, created exclusively and touched by a heartbeat (filelock's SoftFileLease), so it
needs none of the file system's own locks, which NFS often lacks. A claim whose process is gone is taken over: on the
same machine at once, of another machine when it has shown no heartbeat for `dead_after` seconds by the waiting
process's own clock.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import LeaseSettingsMismatch, SoftFileLease, Timeout

from agentx.errors import ConfigError, UserError
from agentx.jobs import ranks

log = logging.getLogger(__name__)

DEAD_AFTER = 60.0
"""seconds, where no configuration says otherwise"""


class ClaimedElsewhere(UserError):
    """Another process works on it: in a sweep the job is put off, not failed."""

    def __init__(self, claim: Path, holder: str) -> None:
        super().__init__(f"{claim.parent}: {holder} works on it")
        self.claim, self.holder = claim, holder


class ClaimLost(UserError):
    """This process showed no sign of life for so long (suspended, file system away) that another one took over."""


def claim_path(path: Path) -> Path:
    """The claim's file for what `path` names."""
    return path.with_name(f".{path.name}.claim")


@contextmanager
def claimed(path: Path, *, wait: bool = True, dead_after: float = DEAD_AFTER) -> Iterator[None]:
    """Hold the claim to what `path` names, waiting for it or raising ClaimedElsewhere.

    The further ranks that Lightning starts of a job are part of it: the first one holds the claim for them. Raises
    ClaimLost when another process took the claim over meanwhile; the main thread is then interrupted.
    """
    if not ranks.is_first():
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lost = threading.Event()

    def give_up(_: object) -> None:
        lost.set()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # wakes it also where it waits

    watch = Watch(claim_path(path), dead_after, on_compromise=give_up)
    told = False
    while not watch.take():
        if not wait:
            raise ClaimedElsewhere(claim_path(path), watch.holder())
        if not told:
            log.info("waiting: %s works on %s", watch.holder(), path.parent)
            told = True
        time.sleep(0.5)
    try:
        with _woken_by_loss(lost):
            yield
    except (KeyboardInterrupt, SystemExit) as error:
        if lost.is_set():
            raise ClaimLost(f"{path.parent}: another process took over, because this one seemed dead") from error
        raise
    finally:
        watch.release()


@contextmanager
def _woken_by_loss(lost: threading.Event) -> Iterator[None]:
    """A shell's background processes ignore Ctrl-C, and with it what wakes the main thread; let that one through."""
    ignored = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    )

    def interrupt(*_: object) -> None:
        if lost.is_set():
            raise KeyboardInterrupt

    if ignored:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def wait_for_any(claims: Sequence[Path], dead_after: float) -> None:
    """Return once at least one of the claims is free: released, or its holder dead."""
    watches = [Watch(claim, dead_after) for claim in claims if claim.parent.is_dir()]
    while watches:
        for watch in watches:
            if watch.take():
                watch.release()
                return
        time.sleep(0.5)


class Watch:
    """Tries for one claim again and again: only who watches a claim can tell that its holder is dead."""

    def __init__(self, claim: Path, dead_after: float, **options: object) -> None:
        self.claim, self.dead_after = claim, dead_after
        self._lease = SoftFileLease(
            claim,
            lease_duration=dead_after,
            thread_local=False,
            **options,  # type: ignore[arg-type]
        )
        self._seen: tuple[object, float] = (None, 0.0)

    def take(self) -> bool:
        """Whether the claim is ours now."""
        try:
            self._lease.acquire(timeout=0)
        except LeaseSettingsMismatch as error:
            raise ConfigError(
                f"sweep.dead_after={self.dead_after:g}: the process that holds {self.claim} runs with another value; "
                "use the same on all machines"
            ) from error
        except Timeout:
            self._break_if_dead()
            return False
        except OSError as error:
            raise UserError(f"{self.claim}: cannot be written ({error.strerror})") from error
        return True

    def _break_if_dead(self) -> None:
        """The lease takes a dead claim over by exchanging two names, which NFS refuses. Such a claim is removed after
        twice the time; should that hit a claim made in the same instant, its holder notices and stops."""
        try:
            facts = self.claim.stat()
        except OSError:
            return
        state, now = (facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns), time.monotonic()
        if self._seen[0] != state:
            self._seen = (state, now)
        elif now - self._seen[1] > 2 * self.dead_after:
            self._lease.force_break()

    def holder(self) -> str:
        owner = self._lease.owner
        return f"process {owner.pid} on {owner.hostname.partition('?')[0]}" if owner else "another process"

    def release(self) -> None:
        self._lease.release()
