"""A root tree of the host's programs (its /usr, read-only) under files of the project's own making.

Of the host nothing but /usr without /usr/local is visible, and a few configuration files that its programs need;
users, groups, homes, /var and all else start out as in a bare Debian system.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from agentx.tasks.environment import TaskDataError

VERSION = 2
_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_COPIED = (
    "alternatives", "debian_version", "default/useradd", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "login.defs",
    "os-release", "pam.conf", "pam.d", "profile", "protocols", "security", "services", "skel",
)  # fmt: skip
_DIRECTORIES = (
    "boot", "dev", "etc", "home", "media", "mnt", "opt", "proc", "root", "run", "srv", "sys", "tmp", "usr", "var",
    "var/cache", "var/lib", "var/local", "var/log", "var/mail", "var/spool", "var/tmp", "run/lock",
)  # fmt: skip
_USERS = (
    ("root", 0, 0, "/root", "/bin/bash"),
    ("daemon", 1, 1, "/usr/sbin", "/usr/sbin/nologin"),
    ("bin", 2, 2, "/bin", "/usr/sbin/nologin"),
    ("sys", 3, 3, "/dev", "/usr/sbin/nologin"),
    ("sync", 4, 65534, "/bin", "/bin/sync"),
    ("games", 5, 60, "/usr/games", "/usr/sbin/nologin"),
    ("man", 6, 12, "/var/cache/man", "/usr/sbin/nologin"),
    ("mail", 8, 8, "/var/mail", "/usr/sbin/nologin"),
    ("www-data", 33, 33, "/var/www", "/usr/sbin/nologin"),
    ("backup", 34, 34, "/var/backups", "/usr/sbin/nologin"),
    ("nobody", 65534, 65534, "/nonexistent", "/usr/sbin/nologin"),
)
_GROUPS = {
    "root": 0, "daemon": 1, "bin": 2, "sys": 3, "adm": 4, "tty": 5, "disk": 6, "lp": 7, "mail": 8, "man": 12,
    "sudo": 27, "www-data": 33, "backup": 34, "shadow": 42, "utmp": 43, "staff": 50, "games": 60, "users": 100,
    "nogroup": 65534,
}  # fmt: skip


def fill(folder: Path) -> None:
    """Make `root`, `usr` and `local` in `folder`. Raises TaskDataError where the host has no merged /usr with bash."""
    if not os.path.islink("/bin") or not os.path.exists("/usr/bin/bash"):
        raise TaskDataError("task.root_tree=host: needs bash and /bin as a link to usr/bin; use task.root_tree=debian")
    _fill(folder / "root")
    _fill_usr(folder / "usr")
    (folder / "local").mkdir()
    for name in ("bin", "etc", "games", "include", "lib", "sbin", "share", "src"):
        (folder / "local" / name).mkdir()


def overlays(folder: Path) -> tuple[tuple[str, tuple[Path, ...]], ...]:
    return (
        ("/", (folder / "root",)),
        ("/usr", (folder / "usr", Path("/usr"))),
        ("/usr/local", (folder / "local",)),
    )


def _fill(root: Path) -> None:
    root.mkdir()
    for name in _DIRECTORIES:
        (root / name).mkdir()
    for name in _LINKS:
        if os.path.islink(f"/{name}"):
            (root / name).symlink_to(os.readlink(f"/{name}"))
    (root / "var/run").symlink_to("/run")
    (root / "var/lock").symlink_to("/run/lock")
    etc = root / "etc"
    for name in _COPIED:
        source, target = Path("/etc") / name, etc / name
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=_private)
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    users = [(name, uid, gid, home, shell) for name, uid, gid, home, shell in _USERS]
    texts = {
        "passwd": "".join(f"{n}:x:{uid}:{gid}:{n}:{home}:{shell}\n" for n, uid, gid, home, shell in users),
        "shadow": "".join(f"{name}:*:19000:0:99999:7:::\n" for name, *_ in users),
        "group": "".join(f"{name}:x:{gid}:\n" for name, gid in _GROUPS.items()),
        "gshadow": "".join(f"{name}:*::\n" for name in _GROUPS),
        "hostname": "sandbox\n",
        "hosts": "127.0.0.1\tlocalhost\n127.0.1.1\tsandbox\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\n",
        "fstab": "",
        "resolv.conf": "",
        "shells": "/bin/sh\n/bin/bash\n/usr/bin/bash\n",
    }
    for name, text in texts.items():
        (etc / name).write_text(text, encoding="utf-8")
    for name in ("shadow", "gshadow"):
        (etc / name).chmod(0o640)
    (root / "root").chmod(0o700)
    for name in ("tmp", "var/tmp", "run/lock"):
        (root / name).chmod(0o1777)


def _private(folder: str, names: list[str]) -> list[str]:
    """What not every user of the host may read (e.g. old passwords) is not for a sandbox either."""
    paths = {name: Path(folder, name) for name in names}
    return [name for name, path in paths.items() if not path.is_symlink() and not path.stat().st_mode & 0o004]


def _fill_usr(usr: Path) -> None:
    """Directories over those of the host, so that new files may be put into them."""
    usr.mkdir()
    for name in ("bin", "games", "include", "lib", "local", "sbin", "share", "src"):
        (usr / name).mkdir()
