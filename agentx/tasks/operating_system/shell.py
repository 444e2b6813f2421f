"""One login shell that stays for a whole episode.

What the shell is to run and when it has finished go over two pipes of their own, apart from its output, and each
command has a fresh random number that its end must name: nothing that is printed can be taken for an end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from dataclasses import dataclass
from typing import Literal

from agentx.tasks.operating_system.sandbox import Program, Sandbox, SandboxGone

Ending = Literal["finished", "silent", "slow", "flood", "exited"]

MOST_OUTPUT = 8 << 20
"""bytes after which a command is cut; far fewer are kept"""
KEPT_OUTPUT = 1 << 16
_COMMANDS, _ENDS = 63, 62
_PATIENCE = 0.25
"""seconds the shell has to come back after an interruption"""
_TRIES = 6
_SETUP = (
    'PS1= PS2= PROMPT_COMMAND=\'builtin printf "%s\\0" "$__shell_number" >&62\' HISTFILE=; '
    "set +o history; unset MAILCHECK; __shell_number={number}\n"
)
_FETCH = (
    b'IFS= builtin read -r -d "" -u 63 __shell_number; '
    b'IFS= builtin read -r -d "" -u 63 __shell_command; eval "$__shell_command"\n'
)


@dataclass(frozen=True)
class Output:
    """What a command printed (its first 64 KiB, standard output and error in order) and how it ended: `silent` and
    `slow` are the two time limits, `exited` means that the shell itself has ended. `restarted`: a new shell stands
    in the same directory, without the old one's variables."""

    text: str
    ending: Ending
    restarted: bool = False


class Shell:
    """A `bash --login` in a sandbox. Its input is a terminal that nobody types on; its output is a pipe."""

    def __init__(self, sandbox: Sandbox, silence: float, total: float) -> None:
        self._sandbox = sandbox
        self._silence, self._total = silence, total
        self._program: Program | None = None
        self._descriptors: list[int] = []
        self._output = self._commands = self._ends = -1
        self._heard = asyncio.Event()

    async def start(self, cwd: str = "/") -> None:
        """Raises SandboxGone when there is no shell to be had."""
        await self.close()
        output, commands, ends = os.pipe(), os.pipe(), os.pipe()
        theirs = {1: output[1], 2: output[1], _COMMANDS: commands[0], _ENDS: ends[1]}
        self._output, self._commands, self._ends = output[0], commands[1], ends[0]
        self._descriptors = [output[0], commands[1], ends[0]]
        for descriptor in self._descriptors:
            os.set_blocking(descriptor, False)
        try:
            argv = ["bash", "--login", "--noediting", "-i"]
            self._program = await self._sandbox.spawn(argv, theirs, terminal=True, cwd=cwd)
        except BaseException:
            await self.close()
            raise
        finally:
            for descriptor in (output[1], commands[0], ends[1]):
                os.close(descriptor)
        assert self._program.terminal is not None
        os.set_blocking(self._program.terminal, False)
        self._descriptors.append(self._program.terminal)
        loop = asyncio.get_running_loop()
        for descriptor in (self._output, self._ends, self._program.terminal):
            loop.add_reader(descriptor, self._hear, descriptor)
        number = secrets.token_hex(16)
        self._send(_SETUP.replace("{number}", number).encode())
        ending, _ = await self._until(number, bytearray(), 10.0, 10.0)
        if ending != "finished":
            raise SandboxGone(f"the login shell did not start ({ending})")

    async def run(self, command: str) -> Output:
        """Run `command` to its end or to a limit. After a limit the programs in the foreground are killed; a shell
        that does not come back is replaced. Raises SandboxGone when the whole sandbox has ended."""
        if self._program is None:
            raise RuntimeError("start the shell first")
        number = secrets.token_hex(16)
        kept = bytearray()
        # A null byte would end the command early, and no shell command can hold one.
        message = f"{number}\0{command.replace(chr(0), '')}\0".encode(errors="replace")
        self._send(_FETCH)
        if not await self._deliver(message):
            ending: Ending = "slow"
        else:
            ending, _ = await self._until(number, kept, self._silence, self._total)
        restarted = False
        if ending != "finished" and not (ending != "exited" and await self._recovered(number, kept)):
            restarted = True
            await self._replace()
        text = kept.decode("utf-8", "replace").replace("\r\n", "\n")
        return Output(text, ending, restarted)

    async def close(self) -> None:
        """Kill the shell, not what it has put into the background."""
        loop = asyncio.get_running_loop()
        program, self._program = self._program, None
        for descriptor in self._descriptors:
            loop.remove_reader(descriptor)
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._descriptors = []
        if program is not None:
            with contextlib.suppress(SandboxGone):
                await self._sandbox.kill(program)

    def _hear(self, descriptor: int) -> None:
        """Stop watching until what there is has been read: otherwise the loop would spin on it."""
        asyncio.get_running_loop().remove_reader(descriptor)
        self._heard.set()

    def _send(self, text: bytes) -> None:
        assert self._program is not None and self._program.terminal is not None
        with contextlib.suppress(OSError):
            os.write(self._program.terminal, text)

    async def _deliver(self, message: bytes) -> bool:
        """Into the command pipe, which takes 64 KiB at once; false when the shell does not read it."""
        deadline = time.monotonic() + self._silence
        while message:
            try:
                message = message[os.write(self._commands, message) :]
            except BlockingIOError:
                if time.monotonic() > deadline:
                    return False
                await asyncio.sleep(0.002)
            except OSError:
                return True
        return True

    async def _until(self, number: str, kept: bytearray, silence: float, total: float) -> tuple[Ending, bytes]:
        """Read until the end of command `number` or a limit; output goes to `kept`."""
        assert self._program is not None and self._program.terminal is not None
        loop = asyncio.get_running_loop()
        started = latest = time.monotonic()
        ends, read = b"", 0
        wanted = number.encode() + b"\0"
        while True:
            self._heard.clear()
            for descriptor in (self._output, self._program.terminal):
                piece = _available(descriptor)
                if piece:
                    read += len(piece)
                    latest = time.monotonic()
                    kept += piece[: max(0, KEPT_OUTPUT - len(kept))]
            news = _available(self._ends)
            ends = (ends + (news or b""))[-4096:]
            if wanted in ends:
                # All that the command wrote was in the pipe before its end was told.
                piece = _available(self._output) or b""
                kept += piece[: max(0, KEPT_OUTPUT - len(kept))]
                return "finished", ends
            if self._program.exited.done():
                self._program.exited.result()
                return "exited", ends
            now = time.monotonic()
            if now - started >= total:
                return "slow", ends
            if now - latest >= silence:
                return "silent", ends
            if read > MOST_OUTPUT:
                return "flood", ends
            for descriptor in (self._output, self._ends, self._program.terminal):
                loop.add_reader(descriptor, self._hear, descriptor)
            self._program.exited.add_done_callback(self._wake)
            try:
                async with asyncio.timeout(max(0.001, min(started + total, latest + silence) - now)):
                    await self._heard.wait()
            except TimeoutError:
                pass
            finally:
                self._program.exited.remove_done_callback(self._wake)
                for descriptor in (self._output, self._ends, self._program.terminal):
                    loop.remove_reader(descriptor)

    def _wake(self, _: object) -> None:
        self._heard.set()

    async def _recovered(self, number: str, kept: bytearray) -> bool:
        """Interrupt the command as a user would, then kill it; true when the shell is back."""
        assert self._program is not None
        for attempt in range(_TRIES):
            if attempt == 0:
                self._send(b"\x03")
            elif await self._sandbox.interrupt(self._program):
                if attempt > 2:
                    return False
                self._send(b"\x03")
            ending, _ = await self._until(number, bytearray(kept), _PATIENCE, _PATIENCE)
            if ending == "finished":
                return True
            if ending == "exited":
                return False
        return False

    async def _replace(self) -> None:
        assert self._program is not None
        directory = await self._sandbox.working_directory(self._program)
        try:
            await self.start(directory)
        except SandboxGone:
            # The directory may be gone, or other processes leave no room for a shell.
            await self._sandbox.kill_all()
            await asyncio.sleep(_PATIENCE)
            await self.start("/")


def _available(descriptor: int) -> bytes | None:
    """One read of what is there; None when there is nothing (or nothing any more)."""
    try:
        return os.read(descriptor, 1 << 16) or None
    except OSError:
        return None
