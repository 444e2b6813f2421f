"""Start-up, step and clean-up of the operating-system task's sandbox.

    python benchmarks/sandbox.py [--starts 30] [--commands 500] [--episodes 500] [--at-once 4]
                                 [--sandbox podman --image python:3]

Aims of the default, namespaces: a start under 250 ms, a command's own overhead under 5 ms (both medians); of every
kind: nothing left after any number of episodes. Exits with 1 where one is missed. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from agentx.tasks.operating_system.preparation import Sandboxes, sandboxes
from agentx.tasks.operating_system.sandbox import Limits
from agentx.tasks.operating_system.shell import Shell


async def start_times(kind: Sandboxes, number: int) -> list[float]:
    """Milliseconds from nothing to a login shell that answers."""
    times = []
    for _ in range(number):
        began = time.perf_counter()
        sandbox = await kind.start(Limits())
        shell = Shell(sandbox, 5, 30)
        await shell.start()
        times.append(1000 * (time.perf_counter() - began))
        await shell.close()
        await sandbox.close()
    return times


async def command_times(kind: Sandboxes, number: int) -> list[float]:
    """Milliseconds for `true`, a builtin: all of it is overhead."""
    sandbox = await kind.start(Limits())
    shell = Shell(sandbox, 5, 30)
    await shell.start()
    times = []
    for _ in range(number):
        began = time.perf_counter()
        await shell.run("true")
        times.append(1000 * (time.perf_counter() - began))
    await shell.close()
    await sandbox.close()
    return times


async def episodes(kind: Sandboxes, number: int, at_once: int) -> None:
    """Episodes that each leave a daemon and files behind."""
    gate = asyncio.Semaphore(at_once)

    async def play() -> None:
        async with gate:
            sandbox = await kind.start(Limits())
            shell = Shell(sandbox, 5, 30)
            await shell.start()
            await shell.run("setsid sleep 1000 >/dev/null 2>&1 & head -c 1m /dev/zero > /root/file")
            await shell.close()
            await sandbox.close()

    await asyncio.gather(*(play() for _ in range(number)))


def traces() -> dict[str, int]:
    """What sandboxes could leave of themselves: own children, mounts, open files, control groups, memory files."""
    shared = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("Shmem:"))
    return {
        "child processes": len(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()),
        "mounts": len(Path("/proc/self/mounts").read_text().splitlines()),
        "open files": len(os.listdir("/proc/self/fd")),
        "control groups": sum(1 for _ in Path("/sys/fs/cgroup").glob(f"**/agentx-{os.getpid()}-*")),
        "memory files (16 MiB)": int(shared.split()[1]) >> 14,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("starts", 30), ("commands", 500), ("episodes", 500), ("at-once", 4)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--sandbox", choices=("namespaces", "docker", "podman"), default="namespaces")
    parser.add_argument("--root-tree", default="host")
    parser.add_argument("--image")
    chosen = parser.parse_args()
    kind = sandboxes(chosen.sandbox, chosen.root_tree, chosen.image)
    missed = False
    result: dict[str, Any] = {"benchmark": "sandbox", **kind.about}
    for what, times, aim in (
        ("start with login shell", asyncio.run(start_times(kind, chosen.starts)), 250.0),
        ("overhead of a command", asyncio.run(command_times(kind, chosen.commands)), 5.0),
    ):
        median = statistics.median(times)
        missed |= median > aim and chosen.sandbox == "namespaces"
        print(f"{what}: median {median:.2f} ms, slowest {max(times):.2f} ms of {len(times)} (aim: {aim:g} ms)")
        result[f"{what} (ms)"] = round(median, 2)
    asyncio.run(episodes(kind, 4, 4))
    before = traces()
    began = time.perf_counter()
    asyncio.run(episodes(kind, chosen.episodes, chosen.at_once))
    seconds = time.perf_counter() - began
    after = traces()
    print(f"{chosen.episodes} episodes, {chosen.at_once} at once: {chosen.episodes / seconds:.1f} a second")
    result |= {"episodes": chosen.episodes, "a second": round(chosen.episodes / seconds, 1), "left": {}}
    for name in before:
        # Other programs use memory files too: that count alone may not be exact.
        left = after[name] - before[name]
        missed |= left > (1 if name.startswith("memory") else 0)
        print(f"left of them: {max(0, left)} {name}")
        result["left"][name] = max(0, left)
    print(json.dumps(result))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
