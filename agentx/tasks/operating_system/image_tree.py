"""A root tree of its own: a minimal Debian made by mmdebstrap or debootstrap, or a tar file that the user has.

It holds nothing of the host, so that results do not depend on what is installed there.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

from agentx.errors import UserError

log = logging.getLogger(__name__)

SUITE = "bookworm"
DEBIAN_VERSION = 1
"""of the list of packages below"""
PACKAGES = (
    "adduser", "bc", "curl", "file", "git", "less", "procps", "psmisc", "python3", "python3-pip", "tree", "unzip",
    "vim", "wget", "xxd", "zip",
)  # fmt: skip
"""what AgentBench's image adds to a bare system, and what a shell user expects"""
_SECONDS = 3600
_LOG_TAIL = 200


def fill(folder: Path, source: Path | None, owner: int) -> None:
    """Make `root` in `folder` from the tar file `source`, or a Debian where there is none. Ids are counted from
    `owner` when this process may do so, else everything belongs to it. Raises UserError."""
    if source is None:
        log.info(
            "Making a Debian root tree with %d packages for task.root_tree=debian: once, some minutes", len(PACKAGES)
        )
        source = folder / "tree.tar"
        _bootstrap(source)
    _unpack(source, folder / "root", owner)
    if not os.path.lexists(folder / "root" / "bin") or not (folder / "root" / "usr/bin").is_dir():
        raise UserError(f"task.root_tree={source}: holds no root file system, bin and usr/bin are not in it")
    (folder / "tree.tar").unlink(missing_ok=True)


def bootstrap_program() -> str | None:
    """mmdebstrap, or debootstrap, which needs root."""
    found = shutil.which("mmdebstrap")
    return found or (shutil.which("debootstrap") if os.geteuid() == 0 else None)


def bootstrap_command(program: str, target: Path) -> list[str]:
    """Makes `target`: a tar file with mmdebstrap, a directory with debootstrap."""
    common = ["--variant=minbase", f"--include={','.join(PACKAGES)}"]
    return [program, *common, SUITE, str(target)]


def packages_digest(root: Path) -> str:
    """Twelve hexadecimal digits over the names and versions of installed Debian packages, '' where none are known."""
    try:
        text = (root / "var/lib/dpkg/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.findall(r"^Package: (.*)\nStatus: install ok installed\n(?:.*\n)*?Version: (.*)$", text, re.MULTILINE)
    return hashlib.sha256(repr(sorted(found)).encode()).hexdigest()[:12]


def _bootstrap(target: Path) -> None:
    program = bootstrap_program()
    if program is None:
        raise UserError(
            "task.root_tree=debian: needs mmdebstrap (as root, debootstrap will do); install it (Debian: apt install "
            "mmdebstrap), give a root file system as task.root_tree=/path/to/it.tar, or use task.root_tree=host"
        )
    direct = Path(program).name == "mmdebstrap"
    made = target if direct else target.with_name("directory")
    _run(bootstrap_command(program, made))
    if not direct:
        _run(["tar", "-C", str(made), "--numeric-owner", "-cf", str(target), "."])
        shutil.rmtree(made)


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"task.root_tree=debian: {command[0]} took more than {_SECONDS} s; is the network slow?"
        ) from None
    if done.returncode:
        lines = done.stdout.decode(errors="replace").strip().splitlines() or ["no output"]
        said = next((line for line in reversed(lines) if line.startswith("E:")), lines[-1])
        raise UserError(f"task.root_tree=debian: {command[0]} failed: {said[:_LOG_TAIL]}")


def _unpack(source: Path, root: Path, owner: int) -> None:
    """By tar itself, which lets no archive write outside. Devices are left out: a sandbox brings its own."""
    root.mkdir()
    privileged = os.geteuid() == 0
    options = ["--numeric-owner", "--same-permissions", "--same-owner" if privileged else "--no-same-owner"]
    done = subprocess.run(
        ["tar", "-C", str(root), "-xf", str(source), *options, "--exclude=dev/*", "--exclude=./dev/*"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    if done.returncode:
        said = (done.stderr.decode(errors="replace").strip().splitlines() or ["tar failed"])[0]
        raise UserError(f"task.root_tree={source}: cannot be unpacked ({said[:_LOG_TAIL]})")
    root.chmod(0o755)
    for name, mode in (("proc", 0o555), ("dev", 0o755), ("sys", 0o555), ("tmp", 0o1777), ("root", 0o700)):
        if not os.path.lexists(root / name):
            (root / name).mkdir()
            (root / name).chmod(mode)
    if privileged:
        _shift(root, owner)


def _shift(root: Path, owner: int) -> None:
    """Count all ids from `owner`; what has several names once. A change of owner clears set-id bits: they come back."""
    seen: set[int] = set()
    for folder, names, files in os.walk(root):
        for path in (os.path.join(folder, name) for name in [*names, *files]):
            found = os.lstat(path)
            if stat.S_ISBLK(found.st_mode) or stat.S_ISCHR(found.st_mode):
                os.unlink(path)
            elif found.st_ino not in seen:
                seen.add(found.st_ino)
                os.lchown(path, owner + found.st_uid, owner + found.st_gid)
                if found.st_mode & (stat.S_ISUID | stat.S_ISGID):
                    os.chmod(path, stat.S_IMODE(found.st_mode))
    os.chown(root, owner, owner)
