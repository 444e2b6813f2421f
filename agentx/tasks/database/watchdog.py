"""Runs a server for as long as another process lives: `python watchdog.py <folder> <command> ...`.

Standard input is a pipe whose other end the parent holds. When it closes, or the parent is gone, the server is
stopped and the folder removed: whatever ended the parent, nothing is left. Should this process itself be killed, the
kernel kills the server (Linux). Run as a script; imports nothing of the project.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1
_GRACE = 5.0
"""seconds the server has for stopping by itself; its data are thrown away in any case"""
_GLANCE = 0.5
"""seconds between two looks at the parent: a forked child of it may hold the pipe open"""


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> int:
    folder, *command = sys.argv[1:]
    parent = os.getppid()
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)
    try:
        while not stopped and server.poll() is None and os.getppid() == parent:
            ready, _, _ = select.select([0], [], [], _GLANCE)
            if ready and not os.read(0, 4096):
                break
    finally:
        server.terminate()
        try:
            server.wait(_GRACE)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
