"""Which user ids a namespaces sandbox has: a whole range, or only that of its root."""

from __future__ import annotations

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

FIRST = 200_000
"""first of the host's ids that a sandbox started by root runs under"""
COUNT = 65_536

Row = tuple[int, int, int]
"""first id inside, first id outside, how many"""


@dataclass(frozen=True)
class UserIds:
    """`owner` is the host's id of the sandbox's root: the root tree belongs to it."""

    owner: int
    users: tuple[Row, ...]
    groups: tuple[Row, ...]
    helpers: dict[str, str] | None = None
    """newuidmap and newgidmap by 'uid' and 'gid', where they do the mapping"""

    @property
    def rows(self) -> dict[str, list[Row]]:
        return {"users": list(self.users), "groups": list(self.groups)}

    @property
    def several(self) -> bool:
        """Whether there are other users than root: without, chown, su and useradd do not work."""
        return sum(count for *_, count in self.users) > 1000


def user_ids() -> UserIds:
    """Root has a range of its own; an ordinary user that of /etc/subuid where newuidmap is installed, else one id."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        whole: tuple[Row, ...] = ((0, FIRST, COUNT),)
        return UserIds(FIRST, whole, whole)
    helpers = {kind: shutil.which(f"new{kind}map") for kind in ("uid", "gid")}
    users, groups = _delegated(Path("/etc/subuid"), uid), _delegated(Path("/etc/subgid"), uid)
    if users and groups and helpers["uid"] and helpers["gid"]:
        found = {kind: program for kind, program in helpers.items() if program}
        return UserIds(uid, ((0, uid, 1), (1, *users)), ((0, gid, 1), (1, *groups)), found)
    return UserIds(uid, ((0, uid, 1),), ((0, gid, 1),))


def _delegated(path: Path, uid: int) -> tuple[int, int] | None:
    """First id and count of the first range that the file gives the user."""
    try:
        names = {str(uid), pwd.getpwuid(uid).pw_name}
    except KeyError:
        names = {str(uid)}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, numbers = line.partition(":")
        first, _, count = numbers.partition(":")
        if name in names and first.isdigit() and count.strip().isdigit():
            return int(first), min(int(count), COUNT - 1)
    return None
