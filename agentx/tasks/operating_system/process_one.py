"""Process 1 of a sandbox: starts programs on request, reaps every orphan, reports how those it started ended.

It runs inside, from this file's text alone (`sandbox.py` hands it over): nothing of the project is there. Requests
come over a channel that closes with the parent, and all processes of a sandbox die with its process 1. Two channels
speak the same requests: a socket that passes descriptors (namespaces), and a stream of frames over standard input and
output (containers), where descriptors are forwarded byte by byte. Needs nothing but Python's standard library.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import itertools
import json
import os
import pty
import resource
import select
import signal
import socket
import struct
import sys
import termios
from typing import Any, Protocol

PR_SET_DUMPABLE = 4
MOST_REQUEST = 1 << 18
PIECE = 1 << 16
"""bytes of one read: all that a pipe can hold"""
WINDOW = 1 << 20
"""bytes of a program's output that may be on their way to the parent"""
FRAME = struct.Struct("!cII")
"""kind, channel, length. j: a JSON request or answer; d: data; a: so many bytes of data have arrived (4 bytes);
c: the channel is closed"""

Request = tuple[dict[str, Any], list[int]]
"""what is asked, and the descriptors that come with it"""

libc = ctypes.CDLL(None, use_errno=True)


class Channel(Protocol):
    """How requests come in and answers go out."""

    def readers(self) -> list[int]: ...
    def writers(self) -> list[int]: ...

    def serve(self, readable: list[int], writable: list[int]) -> list[Request] | None:
        """Move what can be moved; the requests that came in, None when the parent is gone."""
        ...

    def send(self, answer: dict[str, Any], master: int | None = None) -> None:
        """`master` is the terminal that belongs to the answer; it stays open here."""
        ...


class SocketChannel:
    """A SEQPACKET socket: one message each, descriptors are passed."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def readers(self) -> list[int]:
        return [self._control.fileno()]

    def writers(self) -> list[int]:
        return []

    def serve(self, readable: list[int], writable: list[int]) -> list[Request] | None:
        if self._control.fileno() not in readable:
            return []
        message, descriptors, _, _ = socket.recv_fds(self._control, MOST_REQUEST, 8)
        return [(json.loads(message), descriptors)] if message else None

    def send(self, answer: dict[str, Any], master: int | None = None) -> None:
        encoded = json.dumps(answer).encode()
        if master is None:
            self._control.send(encoded)
        else:
            socket.send_fds(self._control, [encoded], [master])


class Forwarded:
    """A program's descriptors on their way to and from the parent."""

    def __init__(self) -> None:
        self.outputs: dict[int, int] = {}
        """channel -> descriptor that is read here, in the order in which its bytes are sent"""
        self.inputs: dict[int, int] = {}
        """channel -> descriptor that is written here"""
        self.waiting: dict[int, bytearray] = {}
        self.closing: set[int] = set()
        self.unacknowledged = 0


class StreamChannel:
    """Frames over two pipes. What a program has written before its end, or before it wrote to a descriptor of a higher
    number, arrives before that."""

    def __init__(self, source: int, sink: int) -> None:
        self._source, self._sink = source, sink
        for descriptor in (source, sink):
            os.set_blocking(descriptor, False)
        self._received, self._unsent = bytearray(), bytearray()
        self._programs: dict[int, Forwarded] = {}

    def readers(self) -> list[int]:
        found = [self._source]
        for program in self._programs.values():
            if self._may_send(program):
                found += program.outputs.values()
        return found

    def writers(self) -> list[int]:
        found = [self._sink] if self._unsent else []
        for program in self._programs.values():
            found += [descriptor for channel, descriptor in program.inputs.items() if program.waiting[channel]]
        return found

    def serve(self, readable: list[int], writable: list[int]) -> list[Request] | None:
        for program in list(self._programs.values()):
            if self._may_send(program) and any(number in readable for number in program.outputs.values()):
                self._forward(program)
            for channel in [c for c, number in program.inputs.items() if number in writable]:
                self._feed(program, channel)
        if self._sink in writable:
            self._flush()
        if self._source not in readable:
            return []
        try:
            piece = os.read(self._source, PIECE)
        except BlockingIOError:
            return []
        if not piece:
            return None
        self._received += piece
        return [request for request in map(self._take, iter(self._frame, None)) if request is not None]

    def send(self, answer: dict[str, Any], master: int | None = None) -> None:
        program = self._programs.get(answer["id"]) if "id" in answer else None
        if program is not None and master is not None:
            channel = max([*program.outputs, *program.inputs], default=answer["id"] << 8) + 1
            answer["terminal"] = channel
            # Its own numbers: the terminal is closed by process 1 when the program has ended.
            program.outputs = {channel: os.dup(master), **program.outputs}
            program.inputs[channel], program.waiting[channel] = os.dup(master), bytearray()
            os.set_blocking(master, False)
        if program is not None and "exit" in answer:
            self._forward(program)
        self._put(b"j", 0, json.dumps(answer).encode())

    def _may_send(self, program: Forwarded) -> bool:
        return program.unacknowledged + PIECE * len(program.outputs) <= WINDOW and len(self._unsent) < 4 * WINDOW

    def _forward(self, program: Forwarded) -> None:
        """One piece of every output. Read from the last to the first and sent in the other order, so that what stands
        in the first when the last is read goes before it."""
        pieces: dict[int, bytes] = {}
        for channel, descriptor in reversed(list(program.outputs.items())):
            try:
                pieces[channel] = os.read(descriptor, PIECE)
            except BlockingIOError:
                continue
            except OSError:  # a terminal without programs
                pieces[channel] = b""
        for channel in list(program.outputs):
            piece = pieces.get(channel)
            if piece:
                program.unacknowledged += len(piece)
                self._put(b"d", channel, piece)
            elif piece is not None:
                os.close(program.outputs.pop(channel))
                self._put(b"c", channel)

    def _feed(self, program: Forwarded, channel: int) -> None:
        waiting = program.waiting[channel]
        try:
            written = os.write(program.inputs[channel], waiting[:PIECE])
        except BlockingIOError:
            return
        except OSError:  # nobody reads it any more
            written = len(waiting)
        del waiting[:written]
        self._put(b"a", channel, struct.pack("!I", written))
        if not waiting and channel in program.closing:
            os.close(program.inputs.pop(channel))

    def _frame(self) -> tuple[bytes, int, bytes] | None:
        if len(self._received) < FRAME.size:
            return None
        kind, channel, length = FRAME.unpack_from(self._received)
        if len(self._received) < FRAME.size + length:
            return None
        payload = bytes(self._received[FRAME.size : FRAME.size + length])
        del self._received[: FRAME.size + length]
        return kind, channel, payload

    def _take(self, frame: tuple[bytes, int, bytes]) -> Request | None:
        kind, channel, payload = frame
        if kind == b"j":
            request = json.loads(payload)
            return request, self._connect(request) if "argv" in request else []
        program = self._programs.get(channel >> 8)
        if program is None:
            return None
        if kind == b"a":
            program.unacknowledged -= struct.unpack("!I", payload)[0]
        elif kind == b"d" and channel in program.inputs:
            program.waiting[channel] += payload
        elif kind == b"c" and channel in program.inputs:
            program.closing.add(channel)
            if not program.waiting[channel]:
                os.close(program.inputs.pop(channel))
        elif kind == b"c" and channel in program.outputs:
            os.close(program.outputs.pop(channel))
        return None

    def _connect(self, request: dict[str, Any]) -> list[int]:
        """Pipes for a program's descriptors; two targets of one channel get the same."""
        self._programs = {
            number: program for number, program in self._programs.items() if program.outputs or program.inputs
        }
        program = self._programs[request["id"]] = Forwarded()
        theirs: dict[int, int] = {}
        for channel, writes in request["channels"]:
            if channel not in theirs:
                read_end, write_end = os.pipe()
                ours, theirs[channel] = (read_end, write_end) if writes else (write_end, read_end)
                os.set_blocking(ours, False)
                (program.outputs if writes else program.inputs)[channel] = ours
                if not writes:
                    program.waiting[channel] = bytearray()
        passed = [os.dup(theirs[channel]) for channel, _ in request["channels"]]
        for descriptor in theirs.values():
            os.close(descriptor)
        return passed

    def _put(self, kind: bytes, channel: int, payload: bytes = b"") -> None:
        self._unsent += FRAME.pack(kind, channel, len(payload)) + payload
        self._flush()

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._sink, self._unsent[: 1 << 18])]
        except BlockingIOError:
            pass


class Init:
    """Serves a channel until its other end is closed."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._running: dict[int, int] = {}
        """process id -> the request's id"""
        self._terminals: dict[int, int] = {}
        """request's id -> master side of its terminal"""

    def serve(self) -> None:
        wake, woken = os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        while True:
            readable, writable, _ = select.select([wake, *self._channel.readers()], self._channel.writers(), [])
            if wake in readable:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake, 4096)
                self._reap()
            requests = self._channel.serve(readable, writable)
            if requests is None:
                return
            for request, descriptors in requests:
                self._answer(request, descriptors)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            request = self._running.pop(pid, None)
            if request is not None:
                terminal = self._terminals.pop(request, None)
                if terminal is not None:
                    os.close(terminal)
                self._channel.send({"id": request, "exit": os.waitstatus_to_exitcode(status)})

    def _answer(self, request: dict[str, Any], descriptors: list[int]) -> None:
        number = request["id"]
        try:
            if "argv" in request:
                self._start(number, request, descriptors)
            elif "interrupt" in request:
                self._interrupt(number, request["interrupt"])
            elif "cwd_of" in request:
                pid = next((p for p, r in self._running.items() if r == request["cwd_of"]), None)
                self._channel.send({"id": number, "cwd": os.readlink(f"/proc/{pid}/cwd")})
            elif "kill_all" in request:
                os.kill(-1, signal.SIGKILL)
            else:
                for pid, running in list(self._running.items()):
                    if running == request["kill"]:
                        os.killpg(pid, signal.SIGKILL)
        except OSError as error:
            self._channel.send({"id": number, "failed": str(error)})
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _start(self, number: int, request: dict[str, Any], descriptors: list[int]) -> None:
        master = slave = None
        if request["terminal"]:
            master, slave = pty.openpty()
            attributes = termios.tcgetattr(slave)
            attributes[1] &= ~termios.OPOST
            attributes[3] &= ~termios.ECHO
            termios.tcsetattr(slave, termios.TCSANOW, attributes)
        pid = os.fork()
        if pid == 0:
            try:
                self._execute(request, descriptors, slave)
            except BaseException as error:
                os.write(2, f"{error}\n".encode())
            finally:
                os._exit(127)
        self._running[pid] = number
        if master is not None and slave is not None:
            os.close(slave)
            self._terminals[number] = master
        self._channel.send({"id": number, "started": pid}, master)

    def _execute(self, request: dict[str, Any], descriptors: list[int], slave: int | None) -> None:
        os.setsid()
        # Short of memory, the kernel is to end what the agent runs and not process 1.
        libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("500")
        signal.set_wakeup_fd(-1)
        # Interrupts too: a run started in the background ignores them, and what it starts would do so for good.
        for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        if slave is not None:
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        wanted = dict(zip(request["targets"], descriptors, strict=True))
        if slave is not None:
            wanted[0] = slave
        # Duplicated out of the way first: a target's number may be one of the sources.
        held = {target: fcntl.fcntl(source, fcntl.F_DUPFD, 100) for target, source in wanted.items()}
        for target, source in held.items():
            os.dup2(source, target, inheritable=True)
        keep = sorted(wanted)
        edges = [2, *[number for number in keep if number > 2], 1 << 16]
        for low, high in itertools.pairwise(edges):
            os.closerange(low + 1, high)
        os.chdir(request["cwd"])
        os.execvpe(request["argv"][0], request["argv"], request["environment"])

    def _interrupt(self, number: int, program: int) -> None:
        """Kill the terminal's foreground programs; `shell` says that it is the program itself."""
        group = os.tcgetpgrp(self._terminals[program])
        shell = next((pid for pid, running in self._running.items() if running == program), 0)
        if group > 1 and group != shell:
            os.killpg(group, signal.SIGKILL)
        self._channel.send({"id": number, "shell": group == shell})


def main() -> None:
    """In a container: frames over standard input and output, of which the first is the configuration."""
    source, sink = (fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 50) for descriptor in (0, 1))
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    os.umask(0o022)
    for name, value in json.loads(sys.argv[1]).items():
        resource.setrlimit(getattr(resource, name), (value, value))
    channel = StreamChannel(source, sink)
    channel.send({"ready": True})
    Init(channel).serve()


if __name__ == "__main__":
    main()
