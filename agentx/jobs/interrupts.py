"""Ctrl-C reaches whoever started the job as KeyboardInterrupt, whatever a library makes of it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def keyboard_interrupts() -> Iterator[None]:
    """Lightning turns Ctrl-C into exit code 1, which looks like a failure, and leaves SIGINT ignored, so that a sweep
    could not be stopped any more."""
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if is_main else None
    try:
        yield
    except SystemExit as error:
        if _caused_by_interrupt(error):
            raise KeyboardInterrupt from None
        raise
    finally:
        if handler is not None:
            signal.signal(signal.SIGINT, handler)


def _caused_by_interrupt(error: BaseException) -> bool:
    cause = error.__context__
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt):
            return True
        cause = cause.__context__
    return False
