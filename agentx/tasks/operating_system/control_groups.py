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


@dataclass
class ControlGroups:
    """The groups made for one sandbox. `memory` and `processes` say which limits they enforce."""

    folders: list[Path] = field(default_factory=list)
    memory: bool = False
    processes: bool = False

    @classmethod
    def create(cls, memory_bytes: int, processes: int) -> ControlGroups:
        """What could be made, empty where nothing could: resource limits then have to do."""
        groups = cls()
        name = f"agentx-{os.getpid()}-{next(_NUMBER)}"
        for controller, paths in _own_groups().items():
            wanted = paths / name
            _sweep(paths)
            with contextlib.suppress(OSError):
                wanted.mkdir()
                groups.folders.append(wanted)
                if controller in ("memory", ""):
                    groups.memory = _limit_memory(wanted, memory_bytes)
                if controller in ("pids", ""):
                    (wanted / "pids.max").write_text(str(processes))
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


def _own_groups() -> dict[str, Path]:
    """This process's directory by controller; '' is version 2's single hierarchy."""
    found: dict[str, Path] = {}
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            if controller in ("memory", "pids"):
                found[controller] = _ROOT / controller / path.lstrip("/")
            elif controller == "" and (_ROOT / "cgroup.controllers").exists():
                found[""] = _ROOT / path.lstrip("/")
    return found


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
