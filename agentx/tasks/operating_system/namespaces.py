"""A sandbox of Linux namespaces: nothing but the kernel and a root tree is needed."""

from __future__ import annotations

import asyncio
import base64
import json
import marshal
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from agentx.tasks.operating_system.control_groups import ControlGroups
from agentx.tasks.operating_system.root_tree import RootTree
from agentx.tasks.operating_system.sandbox import (
    PROCESS_ONE,
    Enforced,
    Limits,
    Sandbox,
    SandboxGone,
    resource_limits,
)  # fmt: skip

LAUNCHER = Path(__file__).with_name("launcher.py")


class NamespaceSandbox(Sandbox):
    """User, process, mount, network, host-name and IPC namespaces, copy-on-write files, no network."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket, groups: ControlGroups) -> None:
        super().__init__()
        self.groups = groups
        self.limits = Enforced(
            groups.version if groups.memory else "resource limits",
            groups.version if groups.processes else "resource limits",
            "a file system of that size",
        )
        self._process = process
        self._control = control
        self._loop.add_reader(control, self._receive)

    @classmethod
    async def start(cls, limits: Limits, tree: RootTree) -> NamespaceSandbox:
        """Raises OSError when starting fails."""
        groups = ControlGroups.create((limits.memory_mb + limits.disk_mb) << 20, limits.processes)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = LAUNCHER.open("rb")
        try:
            ours.send(json.dumps(_config(tree, limits, groups)).encode())
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", f"/proc/self/fd/{program.fileno()}", str(theirs.fileno())],
                pass_fds=[theirs.fileno(), program.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
        except OSError:
            ours.close()
            groups.remove()
            raise
        finally:
            theirs.close()
            program.close()
        ours.setblocking(False)
        sandbox = cls(process, ours, groups)
        await sandbox._wait_until_ready()
        return sandbox

    async def close(self) -> None:
        """End every process and free everything; may be called again."""
        self._end("closed")
        try:
            await asyncio.to_thread(self._process.wait, 10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        await asyncio.to_thread(self.groups.remove)

    def _send(self, request: dict[str, Any], descriptors: list[int]) -> None:
        if self._gone:
            raise SandboxGone("the sandbox has ended")
        try:
            socket.send_fds(self._control, [json.dumps(request).encode()], descriptors)
        except OSError as error:
            self._end("has ended")
            raise SandboxGone("the sandbox has ended") from error

    def _receive(self) -> None:
        try:
            message, descriptors, _, _ = socket.recv_fds(self._control, 1 << 16, 1)
        except BlockingIOError:
            return
        except OSError:
            message, descriptors = b"", []
        if not message:
            self._end("the sandbox has ended")
            return
        self._told(json.loads(message), list(descriptors))

    def _disconnect(self) -> None:
        self._loop.remove_reader(self._control)
        self._control.close()


def _config(tree: RootTree, limits: Limits, groups: ControlGroups) -> dict[str, Any]:
    rlimits = resource_limits(limits, memory=not groups.memory) | {"RLIMIT_NPROC": limits.processes}
    return {
        "ids": tree.ids.rows,
        "id_helpers": tree.ids.helpers,
        "overlays": [[target, [str(lower) for lower in lowers]] for target, lowers in tree.overlays],
        "disk_mb": limits.disk_mb,
        "inodes": limits.disk_mb * 256,
        "cgroups": groups.entries,
        "rlimits": rlimits,
        "process_one": _compiled(),
    }


@cache
def _compiled() -> str:
    """Process 1's program, compiled once and not at every start; the launcher is run by the same Python."""
    code = compile(PROCESS_ONE.read_text(encoding="utf-8"), "process_one.py", "exec")
    return base64.b64encode(marshal.dumps(code)).decode("ascii")
