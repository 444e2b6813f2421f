"""A throw-away Linux system for one episode, whatever keeps it apart from the host: programs are started in it,
waited for and killed. `namespaces.py` and `containers.py` make such systems; inside, process_one.py answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROCESS_ONE = Path(__file__).with_name("process_one.py")
ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "LOGNAME": "root",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TERM": "dumb",
    "USER": "root",
}
START_SECONDS = 20.0
MOST_ARGUMENT = 100_000
"""bytes of one argument; the kernel allows 128 KiB"""


@dataclass(frozen=True)
class Limits:
    """What one sandbox may use; `disk_mb` is its writable layer, held in memory besides `memory_mb`."""

    memory_mb: int = 256
    disk_mb: int = 64
    processes: int = 64


@dataclass(frozen=True)
class Enforced:
    """What enforces a sandbox's limits, in words: 'control groups' over all its processes together, or 'resource
    limits' of each process."""

    memory: str
    processes: str
    disk: str


@dataclass(frozen=True)
class Finished:
    """A script's end: exit status (negative: the signal), what it printed; `timed_out` when it was killed."""

    status: int
    output: bytes
    errors: bytes
    timed_out: bool = False


@dataclass
class Program:
    """A started program. `terminal` is the master side of its terminal, the caller's to close."""

    id: int
    exited: asyncio.Future[int]
    terminal: int | None = None


class SandboxGone(Exception):
    """The sandbox has ended while it was used, e.g. by its own doing."""


class Sandbox:
    """One sandbox. Not thread-safe; belongs to the running event loop."""

    limits: Enforced
    """what enforces the limits"""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._requests = 0
        self._answers: dict[int, asyncio.Future[tuple[dict[str, Any], list[int]]]] = {}
        self._exits: dict[int, asyncio.Future[int]] = {}
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._gone = False

    async def spawn(
        self, argv: Sequence[str], descriptors: dict[int, int], *, terminal: bool = False, cwd: str = "/"
    ) -> Program:
        """Start a program with `descriptors` (its number -> ours); with `terminal` its input is a terminal.

        Raises SandboxGone.
        """
        exited: asyncio.Future[int] = self._loop.create_future()
        number = self._requests + 1
        self._exits[number] = exited
        request = {
            "argv": list(argv),
            "cwd": cwd,
            "environment": ENVIRONMENT,
            "terminal": terminal,
            "targets": list(descriptors),
        }
        answer, received = await self._ask(request, list(descriptors.values()))
        if "failed" in answer:
            self._exits.pop(number, None)
            raise SandboxGone(answer["failed"])
        return Program(number, exited, received[0] if received else None)

    async def close(self) -> None:
        """End every process and free everything; may be called again."""
        raise NotImplementedError

    def _send(self, request: dict[str, Any], descriptors: list[int]) -> None:
        """Raises SandboxGone."""
        raise NotImplementedError

    def _disconnect(self) -> None:
        """Close the way to process 1, which ends it and all others."""
        raise NotImplementedError

    async def run(self, argv: Sequence[str], seconds: float, most_output: int = 1 << 20) -> Finished:
        """A program from start to end, without input. Output beyond `most_output` bytes is dropped."""
        out_read, out_write = os.pipe()
        error_read, error_write = os.pipe()
        null = os.open(os.devnull, os.O_RDONLY)
        output, errors = _Drain(self._loop, out_read, most_output), _Drain(self._loop, error_read, most_output)
        try:
            try:
                program = await self.spawn(argv, {0: null, 1: out_write, 2: error_write})
            finally:
                for descriptor in (null, out_write, error_write):
                    os.close(descriptor)
            # Waiting with a time limit must not cancel the future itself, which is waited for again.
            await asyncio.wait({program.exited}, timeout=seconds)
            timed_out = not program.exited.done()
            if timed_out:
                await self.kill(program)
            async with asyncio.timeout(START_SECONDS):
                status = await program.exited
            return Finished(status, output.take(), errors.take(), timed_out)
        finally:
            output.close()
            errors.close()

    async def kill(self, program: Program) -> None:
        """Kill the program and its process group."""
        self._send({"id": 0, "kill": program.id}, [])

    async def kill_all(self) -> None:
        """Kill every process but the sandbox's process 1."""
        self._send({"id": 0, "kill_all": True}, [])

    async def interrupt(self, program: Program) -> bool:
        """Kill what runs in the foreground of the program's terminal; true when that is the program itself."""
        answer, _ = await self._ask({"interrupt": program.id}, [])
        return bool(answer.get("shell", True))

    async def working_directory(self, program: Program) -> str:
        answer, _ = await self._ask({"cwd_of": program.id}, [])
        return str(answer.get("cwd", "/"))

    async def _wait_until_ready(self) -> None:
        """Raises OSError where the sandbox does not start; it is closed then."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._ready
        except BaseException as error:
            await self.close()
            if isinstance(error, SandboxGone):
                raise OSError(f"the sandbox did not start: {error}") from error
            raise

    async def _ask(self, request: dict[str, Any], descriptors: list[int]) -> tuple[dict[str, Any], list[int]]:
        self._requests += 1
        number = self._requests
        future: asyncio.Future[tuple[dict[str, Any], list[int]]] = self._loop.create_future()
        self._answers[number] = future
        self._send({"id": number, **request}, descriptors)
        try:
            async with asyncio.timeout(START_SECONDS):
                return await future
        except TimeoutError:
            self._end("does not answer")
            raise SandboxGone("the sandbox does not answer") from None
        finally:
            self._answers.pop(number, None)

    def _told(self, answer: dict[str, Any], descriptors: list[int]) -> None:
        """Process 1 has said something."""
        if "ready" in answer:
            if not self._ready.done():
                self._ready.set_result(None)
        elif "error" in answer:
            self._end(str(answer["error"]))
        elif "exit" in answer:
            exited = self._exits.pop(answer["id"], None)
            if exited is not None and not exited.done():
                exited.set_result(answer["exit"])
        else:
            future = self._answers.get(answer["id"])
            if future is not None and not future.done():
                future.set_result((answer, descriptors))
            else:
                for descriptor in descriptors:
                    os.close(descriptor)

    def _end(self, reason: str) -> None:
        if self._gone:
            return
        self._gone = True
        self._disconnect()
        waiting: list[asyncio.Future[Any]] = [self._ready, *self._answers.values(), *self._exits.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(SandboxGone(reason))
                future.exception()  # looked at, so that none that nobody waits for is complained about
        self._exits.clear()


class _Drain:
    """Reads a pipe to its end and keeps the first `most` bytes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int, most: int) -> None:
        os.set_blocking(descriptor, False)
        self._loop, self._descriptor, self._most = loop, descriptor, most
        self._kept = bytearray()
        self._open = True
        loop.add_reader(descriptor, self._read)

    def _read(self) -> bool:
        try:
            piece = os.read(self._descriptor, 1 << 16)
        except BlockingIOError:
            return False
        self._kept += piece[: max(0, self._most - len(self._kept))]
        if not piece:
            self.close()
        return bool(piece)

    def take(self) -> bytes:
        """What has been written so far, to the last byte; a background process may still hold the pipe."""
        for _ in range(64):
            if not self._open or not self._read():
                break
        return bytes(self._kept)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._descriptor)
            with contextlib.suppress(OSError):
                os.close(self._descriptor)


def resource_limits(limits: Limits, *, memory: bool) -> dict[str, int]:
    """Of every process in a sandbox; with `memory` also of its memory, where no control group counts that."""
    found = {
        "RLIMIT_CORE": 0,
        "RLIMIT_NOFILE": 1024,
        "RLIMIT_FSIZE": limits.disk_mb << 20,
        "RLIMIT_MEMLOCK": 1 << 20,
        "RLIMIT_MSGQUEUE": 1 << 16,
        "RLIMIT_SIGPENDING": 256,
    }
    return found | ({"RLIMIT_AS": limits.memory_mb << 20} if memory else {})
