"""A sandbox in a container of Docker or Podman: one throw-away container per episode.

The container's process 1 is process_one.py, which `docker run -i` connects to this process: what programs read and
write travels as frames over that one stream, so that nothing of the host is mounted and a remote engine (Docker on
macOS) will do. The stream closes with this process; process 1 then ends, and the container with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import json
import os
import secrets
import socket
import struct
import subprocess
import tempfile
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from agentx.tasks.operating_system.engines import Engine
from agentx.tasks.operating_system.process_one import FRAME, PIECE
from agentx.tasks.operating_system.sandbox import (
    PROCESS_ONE,
    Enforced,
    Limits,
    Sandbox,
    SandboxGone,
    resource_limits,
)  # fmt: skip

CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "NET_BIND_SERVICE",
    "SYS_CHROOT", "AUDIT_WRITE", "SETFCAP",
)  # fmt: skip
"""what root needs for users, owners and modes inside; the engine's defaults less MKNOD and NET_RAW"""
_INPUT_WINDOW = 1 << 18
"""bytes of a program's input that may be on their way"""
_MOST_FRAME = 1 << 20
_DISK_GLANCE = 2.0
"""seconds between two looks at what a container has written, where the engine cannot limit it"""
_NUMBER = itertools.count()


def run_command(engine: Engine, image: str, limits: Limits, name: str) -> list[str]:
    """The whole command line of one container."""
    options = [
        "run", "--rm", "-i", f"--name={name}", "--pull=never", "--log-driver=none", "--network=none",
        "--hostname=sandbox", "--user=0:0", "--workdir=/", "--entrypoint=python3",
        f"--memory={limits.memory_mb}m", f"--memory-swap={limits.memory_mb}m", f"--pids-limit={limits.processes}",
        f"--shm-size={min(8, limits.disk_mb)}m", "--ulimit=nofile=1024:1024", "--ulimit=core=0:0",
        "--security-opt=no-new-privileges", "--cap-drop=ALL",
    ]  # fmt: skip
    if not engine.limits_memory:  # the engine refuses options that it cannot honour
        options = [option for option in options if not option.startswith(("--memory", "--pids-limit"))]
    options += [f"--cap-add={capability}" for capability in CAPABILITIES]
    if engine.id_options:  # ids of its own: their processes are counted apart from the host's
        options += [*engine.id_options, f"--ulimit=nproc={limits.processes}:{limits.processes}"]
    if engine.limits_disk:
        options.append(f"--storage-opt=size={limits.disk_mb}m")
    settings = json.dumps(resource_limits(limits, memory=not engine.limits_memory))
    program = PROCESS_ONE.read_text(encoding="utf-8")
    return [engine.program, *options, image, "-I", "-S", "-c", program, settings]


class ContainerSandbox(Sandbox):
    """A container whose process 1 answers over standard input and output."""

    def __init__(self, engine: Engine, name: str, process: subprocess.Popen[bytes], errors: Any) -> None:
        super().__init__()
        self.name = name
        self.limits = Enforced(
            "control groups" if engine.limits_memory else "resource limits",
            "control groups" if engine.limits_memory else "none",
            "the engine's storage" if engine.limits_disk else f"a look every {_DISK_GLANCE:g} s",
        )
        assert process.stdin is not None and process.stdout is not None
        self._engine, self._process, self._errors = engine, process, errors
        self._source, self._sink = process.stdout.fileno(), process.stdin.fileno()
        for descriptor in (self._source, self._sink):
            os.set_blocking(descriptor, False)
        self._received, self._unsent = bytearray(), bytearray()
        self._programs: dict[int, _Pumps] = {}
        self._watch: asyncio.Task[None] | None = None
        self._writing = False
        self._loop.add_reader(self._source, self._receive)

    @classmethod
    async def start(cls, limits: Limits, engine: Engine, image: str) -> ContainerSandbox:
        """Raises OSError when starting fails, with what the engine said."""
        name = f"agentx-{os.getpid()}-{next(_NUMBER)}-{secrets.token_hex(4)}"
        errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the sandbox)
        try:
            process = subprocess.Popen(
                run_command(engine, image, limits, name),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        except OSError:
            errors.close()
            raise
        sandbox = cls(engine, name, process, errors)
        await sandbox._wait_until_ready()
        if not engine.limits_disk:
            sandbox._watch = asyncio.create_task(sandbox._watch_disk(limits.disk_mb << 20))
        return sandbox

    async def close(self) -> None:
        self._end("closed")
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
        try:
            await asyncio.to_thread(self._process.wait, 10)
        except subprocess.TimeoutExpired:
            await asyncio.to_thread(self._engine.call, "rm", "--force", self.name)
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        self._errors.close()

    def _send(self, request: dict[str, Any], descriptors: list[int]) -> None:
        if self._gone:
            raise SandboxGone("the sandbox has ended")
        if "argv" in request:
            self._programs = {number: pumps for number, pumps in self._programs.items() if pumps.open}
            pumps = self._programs[request["id"]] = _Pumps(self._loop, self._put)
            request["channels"] = pumps.connect(request["id"], descriptors)
        self._put(b"j", 0, json.dumps(request).encode())

    def _put(self, kind: bytes, channel: int, payload: bytes = b"") -> None:
        if self._gone:
            return
        self._unsent += FRAME.pack(kind, channel, len(payload)) + payload
        self._flush()

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._sink, self._unsent[:PIECE])]
        except BlockingIOError:
            pass
        except OSError:
            self._end("the sandbox has ended")
            return
        if bool(self._unsent) != self._writing:
            self._writing = not self._writing
            if self._writing:
                self._loop.add_writer(self._sink, self._flush)
            else:
                self._loop.remove_writer(self._sink)

    def _receive(self) -> None:
        try:
            piece = os.read(self._source, PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        self._received += piece
        try:
            while not self._gone and self._take():
                pass
        except (ValueError, KeyError, TypeError, struct.error):
            self._end("the sandbox answers nonsense")
        if not piece:
            self._end(self._last_words())

    def _take(self) -> bool:
        """Act on one frame; false when there is none that is whole."""
        if len(self._received) < FRAME.size:
            return False
        kind, channel, length = FRAME.unpack_from(self._received)
        if length > _MOST_FRAME:
            raise ValueError("a frame of that size")
        if len(self._received) < FRAME.size + length:
            return False
        payload = bytes(self._received[FRAME.size : FRAME.size + length])
        del self._received[: FRAME.size + length]
        pumps = self._programs.get(channel >> 8)
        if kind == b"j":
            self._answered(json.loads(payload))
        elif pumps is None:
            pass
        elif kind == b"a":
            pumps.acknowledged(channel, struct.unpack("!I", payload)[0])
        else:
            pumps.deliver((kind, channel, payload))
        return True

    def _answered(self, answer: dict[str, Any]) -> None:
        pumps = self._programs.get(answer.get("id", 0))
        if pumps is None:
            self._told(answer, [])
        elif "exit" in answer:
            pumps.deliver(lambda: self._told(answer, []))  # after all that the program wrote
        else:
            self._told(answer, [pumps.terminal(answer["terminal"])] if "terminal" in answer else [])

    def _disconnect(self) -> None:
        for pumps in self._programs.values():
            pumps.close()
        self._programs = {}
        self._loop.remove_reader(self._source)
        self._loop.remove_writer(self._sink)
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def _last_words(self) -> str:
        self._errors.seek(0)
        said = self._errors.read(1 << 16).decode(errors="replace").strip().splitlines()
        return f"{self._engine.name}: {said[-1][:300]}" if said else "the sandbox has ended"

    async def _watch_disk(self, most: int) -> None:
        """End the sandbox when it has written more than it may."""
        while not self._gone:
            await asyncio.sleep(_DISK_GLANCE)
            size = await asyncio.to_thread(self._engine.written, self.name)
            if size > most:
                await asyncio.to_thread(self._engine.call, "kill", self.name)


@dataclass
class _Pumps:
    """Between one program's channels and the descriptors that its caller gave. Whatever the program sent is delivered
    in the order in which it was sent, over all its channels: nobody sees its end before its output."""

    loop: asyncio.AbstractEventLoop
    put: Any
    outputs: dict[int, int] = field(default_factory=dict)
    """channel -> our duplicate of the descriptor that its bytes are written to"""
    inputs: dict[int, int] = field(default_factory=dict)
    on_their_way: dict[int, int] = field(default_factory=dict)
    queue: deque[Any] = field(default_factory=deque)
    blocked: int | None = None

    @property
    def open(self) -> bool:
        return bool(self.outputs or self.inputs or self.queue)

    def connect(self, number: int, descriptors: list[int]) -> list[tuple[int, bool]]:
        """(channel, whether the program writes to it) of each; the same descriptor gives the same channel."""
        channels: dict[int, int] = {}
        found = []
        for descriptor in descriptors:
            writes = _is_written(descriptor)
            if descriptor not in channels:
                channel = channels[descriptor] = (number << 8) + len(channels)
                own = os.dup(descriptor)
                (self.outputs if writes else self.inputs)[channel] = own
                if writes:
                    os.set_blocking(own, False)
                else:
                    self._listen(channel)
            found.append((channels[descriptor], writes))
        return found

    def terminal(self, channel: int) -> int:
        """Our side of a terminal, the caller's to close."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self.outputs[channel] = theirs.detach()
        self.inputs[channel] = os.dup(self.outputs[channel])
        self._listen(channel)
        self._run()
        return ours.detach()

    def acknowledged(self, channel: int, count: int) -> None:
        self.on_their_way[channel] -= count
        self._listen(channel)

    def deliver(self, what: Any) -> None:
        self.queue.append(what)
        if self.blocked is None:
            self._run()

    def close(self) -> None:
        self.queue.clear()
        if self.blocked is not None:
            self.loop.remove_writer(self.blocked)
            self.blocked = None
        for channel in list(self.inputs):
            self._close_input(channel)
        for descriptor in self.outputs.values():
            os.close(descriptor)
        self.outputs = {}

    def _run(self) -> None:
        """Deliver until somebody has to read first."""
        if self.blocked is not None:
            self.loop.remove_writer(self.blocked)
            self.blocked = None
        while self.queue:
            if callable(self.queue[0]):
                self.queue.popleft()()
                continue
            kind, channel, payload = self.queue[0]
            descriptor = self.outputs.get(channel)
            if descriptor is None:
                # Nobody listens; a terminal may speak before its number is known.
                self.queue.popleft()
                self._acknowledge(channel, len(payload))
            elif kind == b"c":
                self.queue.popleft()
                os.close(self.outputs.pop(channel))
            else:
                try:
                    written = os.write(descriptor, payload)
                except BlockingIOError:
                    self.blocked = descriptor
                    self.loop.add_writer(descriptor, self._run)
                    return
                except OSError:
                    self.put(b"c", channel)
                    os.close(self.outputs.pop(channel))
                    continue
                self._acknowledge(channel, written)
                self.queue.popleft()
                if written < len(payload):
                    self.queue.appendleft((kind, channel, payload[written:]))

    def _acknowledge(self, channel: int, count: int) -> None:
        if count:
            self.put(b"a", channel, struct.pack("!I", count))

    def _listen(self, channel: int) -> None:
        if channel in self.inputs and self.on_their_way.get(channel, 0) < _INPUT_WINDOW:
            try:
                self.loop.add_reader(self.inputs[channel], self._read, channel)
            except PermissionError:  # not a pipe, such as /dev/null: never blocks
                self.loop.call_soon(self._read, channel)

    def _read(self, channel: int) -> None:
        if channel not in self.inputs:
            return
        try:
            piece = os.read(self.inputs[channel], PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self._close_input(channel)
            self.put(b"c", channel)
            return
        self.on_their_way[channel] = self.on_their_way.get(channel, 0) + len(piece)
        self.put(b"d", channel, piece)
        self.loop.remove_reader(self.inputs[channel])
        self._listen(channel)

    def _close_input(self, channel: int) -> None:
        descriptor = self.inputs.pop(channel)
        self.loop.remove_reader(descriptor)
        os.close(descriptor)


def _is_written(descriptor: int) -> bool:
    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
