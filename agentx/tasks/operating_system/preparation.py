"""What a run does about its sandboxes before the first episode: see that they work, make what they start from."""

from __future__ import annotations

import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from agentx.errors import UserError
from agentx.tasks.operating_system.availability import sandbox_kind
from agentx.tasks.operating_system.containers import ContainerSandbox, run_command
from agentx.tasks.operating_system.engines import EngineName, find_engine, image_facts, ready_image
from agentx.tasks.operating_system.namespaces import NamespaceSandbox
from agentx.tasks.operating_system.root_tree import root_tree
from agentx.tasks.operating_system.sandbox import Limits, Sandbox

_TRIAL_SECONDS = 60


@dataclass(frozen=True)
class Sandboxes:
    """A kind of sandbox that works here. `name` stands in tables, `about` is for the record."""

    name: str
    about: dict[str, Any]
    several_ids: bool
    """whether programs can run under other users than root"""
    start: Callable[[Limits], Awaitable[Sandbox]]
    """Raises OSError when one does not start"""


@cache
def sandboxes(kind: str, tree: str = "host", image: str | None = None, folder: Path | None = None) -> Sandboxes:
    """Of `task.sandbox`, `task.root_tree` and `task.image`; once per process. Raises UserError or TaskDataError, in one
    line, where there are none to be had."""
    if kind == "namespaces":
        found = sandbox_kind(kind)
        if not found.works:
            raise UserError(found.line)
        made = root_tree(tree, folder)
        about = {"sandbox": kind, "details": found.detail, **made.about}
        return Sandboxes(made.name, about, made.ids.several, lambda limits: NamespaceSandbox.start(limits, made))
    return _containers("docker" if kind == "docker" else "podman", image)


def _containers(kind: EngineName, image: str | None) -> Sandboxes:
    engine = find_engine(kind)
    name = ready_image(engine, image)
    # A container that gets no requests ends at once.
    try:
        done = subprocess.run(
            run_command(engine, name, Limits(), f"agentx-trial-{id(engine):x}"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TRIAL_SECONDS,
        )
        said = (done.stderr.decode(errors="replace").strip().splitlines() or [f"status {done.returncode}"])[-1]
    except subprocess.TimeoutExpired:
        done, said = None, f"no answer within {_TRIAL_SECONDS} s"
    if done is None or done.returncode:
        raise UserError(
            f"task.sandbox={kind}: a container of {name} does not start ({said[:300]}); it needs python3, bash"
        )
    return Sandboxes(
        f"{kind}: {image or 'own image'}",
        {"sandbox": kind, **image_facts(engine, name)},
        True,
        lambda limits: ContainerSandbox.start(limits, engine, name),
    )
