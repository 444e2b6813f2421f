"""Which kinds of sandbox work on this machine, why not, and the one thing that mends it. Imports nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from agentx.errors import UserError
from agentx.tasks.availability import Availability
from agentx.tasks.operating_system.control_groups import find_parents
from agentx.tasks.operating_system.engines import EngineName, find_engine
from agentx.tasks.operating_system.settings import Settings
from agentx.tasks.operating_system.user_ids import user_ids

KINDS = ("namespaces", "docker", "podman")
_SYSCTL = Path("/proc/sys")
_PROBE = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
for flags in (0x10020000, 0x6C000000):
    if libc.unshare(flags):
        sys.exit(ctypes.get_errno())
"""
"""user and mount namespaces, then process, network, host-name and IPC namespaces, as the launcher does"""


class SandboxAvailability(Availability):
    """A kind of sandbox."""

    option = "task.sandbox"


def sandbox_kinds() -> list[SandboxAvailability]:
    """Every kind of `task.sandbox`; asks the engines, which may take a second."""
    return [sandbox_kind(name) for name in KINDS]


def sandbox_kind(name: str) -> SandboxAvailability:
    return _namespaces() if name == "namespaces" else _engine("docker" if name == "docker" else "podman")


def require(settings: Settings) -> None:
    """Raises UserError, in one line, where this machine has no such sandbox: for a run to ask before all else."""
    found = sandbox_kind(settings.sandbox)
    if not found.works:
        raise UserError(found.line)


def _engine(name: EngineName) -> SandboxAvailability:
    try:
        engine = find_engine(name)
    except UserError as error:
        detail, _, remedy = str(error).removeprefix(f"task.sandbox={name}: ").partition("; ")
        return SandboxAvailability(name, False, detail, remedy)
    limited = "memory and processes" if engine.limits_memory else "no memory or processes over all programs together"
    return SandboxAvailability(name, True, f"version {engine.version}; limits {limited}")


def _namespaces() -> SandboxAvailability:
    reason, remedy = _obstacle()
    if reason:
        return SandboxAvailability("namespaces", False, reason, remedy)
    ids, limits = user_ids(), find_parents()
    several = (
        "all user ids" if ids.several else "a single user id: problems that need chown, su or useradd are left out"
    )
    by = "control groups limit" if {"memory", "pids"} <= set(limits) else "resource limits of each process, not all of"
    detail = f"{several}; {by} memory and processes"
    if ids.several:
        return SandboxAvailability("namespaces", True, detail)
    user = os.environ.get("USER", "$USER")
    mend = "install newuidmap (Debian: apt install uidmap) and run: "
    return SandboxAvailability(
        "namespaces", True, detail, f"{mend}sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
    )


def _obstacle() -> tuple[str, str]:
    """Why there are no namespaces and what to do, both '' where there are."""
    elsewhere = "use task.sandbox=docker or podman"
    if not sys.platform.startswith("linux"):
        return "namespaces are a feature of Linux", f"{elsewhere}, or run in a Linux virtual machine"
    try:
        most = int((_SYSCTL / "user/max_user_namespaces").read_text())
    except (OSError, ValueError):
        return "this kernel has no user namespaces", elsewhere
    if most < 1:
        return "user namespaces are switched off", f"run: sudo sysctl -w user.max_user_namespaces=1000, or {elsewhere}"
    for name, wanted in (("unprivileged_userns_clone", "1"), ("apparmor_restrict_unprivileged_userns", "0")):
        path = _SYSCTL / "kernel" / name
        if os.geteuid() and path.exists() and path.read_text().strip() != wanted:
            return (
                "ordinary users may make no user namespaces here",
                f"run: sudo sysctl -w kernel.{name}={wanted}, or {elsewhere}",
            )
    status = subprocess.run([sys.executable, "-I", "-S", "-c", _PROBE], capture_output=True).returncode
    if status:
        said = os.strerror(status) if status > 0 else "killed"
        return (
            f"making namespaces is forbidden here ({said})",
            f"in a container, start it with --security-opt seccomp=unconfined --cap-add SYS_ADMIN, or {elsewhere}",
        )
    return "", ""
