"""The root tree of a sandbox: the host's programs (its /usr, read-only) under files of the project's own making.

Of the host nothing but /usr without /usr/local is visible, and a few configuration files that its programs need;
users, groups, homes, /var and all else start out as in a bare Debian system.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from agentx.tasks.environment import TaskDataError

UID_BASE = 200_000
"""first of the 65536 host uids that a sandbox started by root runs under"""

_VERSION = 2
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


def root_tree(cache: Path | None = None) -> Path:
    """The directory that holds `root` and `usr`, made on first use: upper parts of the tree of a sandbox, owned by
    the ids its root is mapped to. Raises TaskDataError where the host has no merged /usr with bash."""
    owner = UID_BASE if os.geteuid() == 0 else os.geteuid()
    folder = (cache or _cache()) / f"os-root-{_VERSION}-{owner}"
    if folder.is_dir():
        return folder
    if not os.path.islink("/bin") or not os.path.exists("/usr/bin/bash"):
        raise TaskDataError("task.sandbox=namespaces: needs a system with /bin as a link to usr/bin and with bash")
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
    try:
        _fill(scratch / "root")
        _fill_usr(scratch / "usr")
        (scratch / "local").mkdir()
        for name in ("bin", "etc", "games", "include", "lib", "sbin", "share", "src"):
            (scratch / "local" / name).mkdir()
        scratch.chmod(0o755)
        if os.geteuid() == 0:
            _give_away(scratch)
        try:
            scratch.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentx"


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


def _give_away(tree: Path) -> None:
    """Own everything as the sandbox's root; a change of owner clears set-id bits, which nothing here has."""
    for folder, _, files in os.walk(tree):
        for path in (folder, *(os.path.join(folder, name) for name in files)):
            os.lchown(path, UID_BASE, UID_BASE)
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if os.path.islink(path):
                os.lchown(path, UID_BASE, UID_BASE)


def supported() -> str | None:
    """Why this machine has no namespaces sandbox; None where it has."""
    if not sys.platform.startswith("linux"):
        return "namespaces are a feature of Linux; run in a Linux virtual machine or container"
    try:
        if int(Path("/proc/sys/user/max_user_namespaces").read_text()) < 1:
            return "user namespaces are switched off; set the sysctl user.max_user_namespaces to 1000 or so"
    except (OSError, ValueError):
        return "this kernel has no user namespaces"
    for name in ("unprivileged_userns_clone", "apparmor_restrict_unprivileged_userns"):
        path = Path("/proc/sys/kernel") / name
        wanted = "1" if name == "unprivileged_userns_clone" else "0"
        if os.geteuid() and path.exists() and path.read_text().strip() != wanted:
            return f"ordinary users may make no user namespaces here; set the sysctl kernel.{name} to {wanted}"
    return None
