"""Container engines: Docker and Podman by their command line, which is the same in all that is needed here."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import subprocess
from dataclasses import dataclass
from typing import Literal

from agentx.errors import UserError
from agentx.tasks.operating_system.image_tree import PACKAGES, SUITE
from agentx.tasks.operating_system.user_ids import COUNT, FIRST

log = logging.getLogger(__name__)

EngineName = Literal["docker", "podman"]
_CALL_SECONDS = 30
_BUILD_SECONDS = 3600
_INSTALL = {
    "docker": "install Docker (https://docs.docker.com/engine/install)",
    "podman": "install it (Debian: apt install podman)",
}


class EngineError(Exception):
    """The engine did not do what it was asked to; the message is its own last line."""


@dataclass(frozen=True)
class Engine:
    """An engine that answers, and what it can limit."""

    name: EngineName
    program: str
    version: str
    limits_memory: bool = True
    """memory and number of processes, by control groups"""
    limits_disk: bool = False
    id_options: tuple[str, ...] = ()
    """so that a container's root is nobody on the host"""

    def call(self, *arguments: str, given: bytes = b"", seconds: float = _CALL_SECONDS) -> str:
        """Standard output of a command. Raises EngineError."""
        try:
            done = subprocess.run([self.program, *arguments], input=given, capture_output=True, timeout=seconds)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineError(f"{self.name} {arguments[0]}: {error}") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["failed without a word"]
            raise EngineError(f"{self.name} {arguments[0]}: {said[-1][:300]}")
        return done.stdout.decode(errors="replace").strip()

    def written(self, container: str) -> int:
        """Bytes that a running container has written, 0 when it is gone."""
        try:
            return int(self.call("inspect", "--size", "--type=container", "--format={{.SizeRw}}", container))
        except (EngineError, ValueError):
            return 0


def find_engine(name: EngineName) -> Engine:
    """Raises UserError, one line with what to do, where the engine is not installed or does not answer."""
    program = shutil.which(name)
    if program is None:
        raise UserError(f"task.sandbox={name}: {name} is not installed; {_INSTALL[name]}")
    probe = Engine(name, program, "")
    try:
        if name == "docker":
            facts = json.loads(probe.call("info", "--format={{json .}}"))
            if not facts.get("ServerVersion"):
                raise EngineError(str((facts.get("ServerErrors") or ["the daemon does not answer"])[0]))
            return Engine(
                name, program, str(facts["ServerVersion"]), bool(facts.get("MemoryLimit", True)), _docker_quota(facts)
            )
        facts = json.loads(probe.call("info", "--format=json"))
    except (EngineError, ValueError) as error:
        mend = "start its daemon (sudo systemctl start docker) and join its group (sudo usermod -aG docker $USER)"
        if name == "podman":
            mend = "see `podman info`"
        raise UserError(f"task.sandbox={name}: {error}; {mend}") from error
    host, version = facts["host"], str(facts.get("version", {}).get("Version", "unknown"))
    rootless = bool(host["security"]["rootless"])
    # Without root, podman ignores limits under version 1 of the control groups.
    limited = not rootless or (host["cgroupVersion"] == "v2" and {"memory", "pids"} <= set(host["cgroupControllers"]))
    ids = () if rootless else (f"--uidmap=0:{FIRST}:{COUNT}", f"--gidmap=0:{FIRST}:{COUNT}")
    store = facts["store"]
    quota = store["graphDriverName"] == "overlay" and store.get("graphStatus", {}).get("Backing Filesystem") == "xfs"
    return Engine(name, program, version, limited, quota and not rootless, ids)


def _docker_quota(facts: dict[str, object]) -> bool:
    """Only overlay2 on XFS (with pquota, or starting a container says so), btrfs and zfs know a size."""
    status = dict(facts.get("DriverStatus") or [])  # type: ignore[call-overload]
    return facts.get("Driver") in ("btrfs", "zfs") or status.get("Backing Filesystem") == "xfs"


def dockerfile() -> str:
    """The image that the project makes: the packages of task.root_tree=debian."""
    return (
        f"FROM docker.io/library/debian:{SUITE}-slim\n"
        f"RUN apt-get update && apt-get install -y --no-install-recommends {' '.join(PACKAGES)}"
        " && rm -rf /var/lib/apt/lists/*\n"
    )


def own_image() -> str:
    return f"agentx-os:{hashlib.sha256(dockerfile().encode()).hexdigest()[:10]}"


def ready_image(engine: Engine, image: str | None) -> str:
    """The image to use, there and tried: `image`, pulled where it is not there, or the project's own, built on first
    use. Raises UserError with the engine's word where it cannot be had or no container of it can be started."""
    option = f"task.sandbox={engine.name}"
    name = image or own_image()
    try:
        if not _has(engine, name):
            if image is None:
                log.info("Building the image %s for %s: once, some minutes", name, option)
                engine.call("build", "-t", name, "-", given=dockerfile().encode(), seconds=_BUILD_SECONDS)
            else:
                log.info("Pulling the image %s", name)
                engine.call("pull", name, seconds=_BUILD_SECONDS)
    except EngineError as error:
        where = f"task.image={image}" if image else option
        raise UserError(f"{where}: {error}; name an image that is there with task.image") from error
    return name


def image_facts(engine: Engine, image: str) -> dict[str, str]:
    """For the record."""
    found = engine.call("image", "inspect", "--format={{.Id}}", image)
    return {"engine": f"{engine.name} {engine.version}", "image": image, "image_id": found}


def _has(engine: Engine, image: str) -> bool:
    try:
        engine.call("image", "inspect", "--format={{.Id}}", image)
    except EngineError:
        return False
    return True
