"""The root tree under a namespaces sandbox: made once, kept in the user's cache, never changed by an episode."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from agentx.errors import UserError
from agentx.tasks.operating_system import host_tree, image_tree
from agentx.tasks.operating_system.user_ids import UserIds, user_ids

Overlays = tuple[tuple[str, tuple[Path, ...]], ...]
"""where in the sandbox, and the directories that are laid over each other there, the upper first"""


@dataclass(frozen=True)
class RootTree:
    """`name` stands in tables; `about` is for the record: what tells whether two machines had the same."""

    name: str
    overlays: Overlays
    ids: UserIds
    about: dict[str, Any]


def root_tree(choice: str = "host", cache: Path | None = None) -> RootTree:
    """The tree of `task.root_tree`: host, debian, or the path of a tar file that holds a root file system.

    Made on first use, which takes no time for host, and minutes and the network for debian. Raises UserError or
    TaskDataError where it cannot be made.
    """
    ids = user_ids()
    folder = cache or cache_folder()
    if choice == "host":
        made = made_once(folder / f"os-root-{host_tree.VERSION}-{ids.owner}", lambda to: _host(to, ids))
        return RootTree("host's /usr", host_tree.overlays(made), ids, {"root_tree": "host", **_host_facts()})
    if choice == "debian":
        name, source = f"debian-{image_tree.SUITE}-{image_tree.DEBIAN_VERSION}", None
    else:
        source = Path(choice)
        if not source.is_file():
            raise UserError(f"task.root_tree={choice}: is neither host, debian nor a file; name a tar file")
        name = f"tar-{_digest(source)}"
    made = made_once(folder / f"os-tree-{name}-{ids.owner}", lambda to: image_tree.fill(to, source, ids.owner))
    shown = f"Debian {image_tree.SUITE}" if source is None else source.name
    about = {"root_tree": choice, "packages": image_tree.packages_digest(made / "root")}
    return RootTree(shown, (("/", (made / "root",)),), ids, about)


def made_once(folder: Path, fill: Callable[[Path], None]) -> Path:
    """`folder`, which `fill` has filled once. It appears whole or not at all: it is filled under another name, by one
    process at a time, and forced to disk before it is given its own. What a killed process left is removed."""
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = (folder.parent / f".{folder.name}.lock").open("w")
    except OSError as error:
        raise UserError(
            f"{error.filename}: cannot be written ({error.strerror}); set XDG_CACHE_HOME to a folder of yours"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        for left in folder.parent.glob(f".unfinished-{folder.name}-*"):
            shutil.rmtree(left, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".unfinished-{folder.name}-", dir=folder.parent))
        try:
            fill(scratch)
            scratch.chmod(0o755)
            os.sync()
            scratch.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return folder


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentx"


def _host(folder: Path, ids: UserIds) -> None:
    host_tree.fill(folder)
    if os.geteuid() == 0:
        _give_away(folder, ids.owner)


def _give_away(tree: Path, owner: int) -> None:
    """Own everything as the sandbox's root; a change of owner clears set-id bits, which nothing here has."""
    for folder, names, files in os.walk(tree):
        for path in (folder, *(os.path.join(folder, name) for name in [*names, *files])):
            os.lchown(path, owner, owner)


@cache
def _host_facts() -> dict[str, str]:
    """Which programs the host has: its system, and a digest of its packages where dpkg knows them."""
    try:
        system = platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    except OSError:
        system = "unknown"
    return {"system": system, "packages": image_tree.packages_digest(Path("/"))}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
