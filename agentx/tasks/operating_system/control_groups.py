"""Memory and process limits of one sandbox by control groups, version 1 or 2, where this process may make them."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_NUMBER = itertools.count()
_WANTED = ("memory", "pids")


@dataclass
class ControlGroups:
    """The groups made for one sandbox. `memory` and `processes` say which limits they enforce."""

    folders: list[Path] = field(default_factory=list)
    memory: bool = False
    processes: bool = False
    version: str = "control groups"

    @classmethod
    def create(cls, memory_bytes: int, processes: int, root: Path = _ROOT) -> ControlGroups:
        """What could be made, empty where nothing could: resource limits then have to do."""
        groups = cls()
        name = f"agentx-{os.getpid()}-{next(_NUMBER)}"
        parents = find_parents(root)
        for parent in dict.fromkeys(parents.values()):
            _sweep(parent)
            made = parent / name
            try:
                made.mkdir()
            except OSError:
                continue
            groups.folders.append(made)
            groups.version = f"control groups {2 if (made / 'memory.max').exists() else 1}"
            # Written to where the kernel made the file: elsewhere writing would make an ordinary one.
            with contextlib.suppress(OSError):
                groups.memory |= _limit_memory(made, memory_bytes)
            with contextlib.suppress(OSError):
                if (made / "pids.max").exists():
                    (made / "pids.max").write_text(str(processes))
                    groups.processes = True
        return groups

    @property
    def entries(self) -> list[str]:
        return [str(folder / "cgroup.procs") for folder in self.folders]

    def remove(self) -> None:
        """Their processes must have ended; it may take a moment until the kernel has forgotten them."""
        for folder in self.folders:
            for _ in range(200):
                try:
                    folder.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.005)
        self.folders = []


def find_parents(root: Path = _ROOT, own: Path = Path("/proc/self/cgroup")) -> dict[str, Path]:
    """By controller (memory, pids), the directory in which this process may make limited groups.

    Version 1: its own group of that controller. Version 2 limits only groups whose parent passes the controller on,
    and no group that holds processes may do so but the first: the nearest group above that passes both on and may be
    written, which is any for root, and for a user what systemd has delegated (`systemd-run --user --scope`).
    """
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    found: dict[str, Path] = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            group = root / path.lstrip("/")
            for folder in (group, *group.parents) if (root / "cgroup.controllers").exists() else ():
                if _passes_on(folder):
                    found |= dict.fromkeys(_WANTED, folder)
                    break
                if folder == root:
                    break
        for controller in controllers.split(","):
            folder = root / controller / path.lstrip("/")
            if controller in _WANTED and os.access(folder, os.W_OK):
                found[controller] = folder
    return found


def _passes_on(folder: Path) -> bool:
    try:
        passed = (folder / "cgroup.subtree_control").read_text(encoding="utf-8").split()
    except OSError:
        return False
    writable = os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)
    return writable and set(_WANTED) <= set(passed)


def _sweep(parent: Path) -> None:
    """Remove the empty groups of processes that were killed before they could do so."""
    for folder in parent.glob("agentx-*-*"):
        owner = folder.name.split("-")[1]
        if owner.isdigit() and not Path("/proc", owner).exists():
            with contextlib.suppress(OSError):
                folder.rmdir()


def _limit_memory(folder: Path, limit: int) -> bool:
    for name in ("memory.max", "memory.limit_in_bytes"):
        if (folder / name).exists():
            (folder / name).write_text(str(limit))
            for swap in ("memory.swap.max", "memory.memsw.limit_in_bytes"):
                with contextlib.suppress(OSError):
                    if (folder / swap).exists():
                        (folder / swap).write_text("0" if swap == "memory.swap.max" else str(limit))
            return True
    return False
