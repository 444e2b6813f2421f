"""Starts a sandbox: run as a program by `sandbox.py`, never imported by it. Needs nothing but the standard library.

The program puts itself into control groups, maps uids, enters namespaces of its own and forks the sandbox's process
1, which builds the root tree, gives up every capability that could reach further, and then is what process_one.py
says.
"""

from __future__ import annotations

import binascii
import contextlib
import ctypes
import fcntl
import json
import marshal
import os
import resource
import signal
import socket
import struct
import sys
from typing import Any, NoReturn

NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (
    0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1, 2, 4, 8, 32, 4096, 16384, 1 << 18,
)  # fmt: skip
MNT_DETACH = 2
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 1, 4, 24, 47, 4
KEPT_CAPABILITIES = (0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 29, 31)
"""chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, sys_chroot, audit_write and
setfcap"""
LAST_CAPABILITY = 63
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
MASKED = ("kcore", "keys", "timer_list", "sched_debug", "kallsyms", "kmsg", "sysrq-trigger", "kpagecount")
MASKED_DIRECTORIES = ("acpi", "scsi", "tty/driver", "bus", "fs", "irq")
READ_ONLY = ("sys", "sysrq-trigger")
MOST_REQUEST = 1 << 18

libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def unshare(flags: int) -> None:
    _checked(libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str | None, flags: int = 0, options: str | None = None) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind, options)]
    _checked(
        libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]), f"mount {kind} on {target}"
    )


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    config = json.loads(control.recv(MOST_REQUEST))
    # Now: what it imports may lie where the sandbox's ids may not go.
    program: dict[str, Any] = {"__name__": "process_one"}
    exec(marshal.loads(binascii.a2b_base64(config["process_one"])), program)
    try:
        for path in config["cgroups"]:
            with open(path, "w") as processes:
                processes.write(str(os.getpid()))
        _enter_user_namespace(config)
        unshare(NEWPID | NEWNET | NEWUTS | NEWIPC | NEWCGROUP)
        init = os.fork()
        if init == 0:
            _become_init(config, control, program)
        control.close()
        os.waitpid(init, 0)
    except OSError as error:
        with contextlib.suppress(OSError):
            control.send(json.dumps({"error": str(error)}).encode())
        sys.exit(1)


def _enter_user_namespace(config: dict[str, Any]) -> None:
    """Own user and mount namespace, with the lower parts of the tree bound under /tmp/agentx-lower."""
    ids, helpers = config["ids"], config["id_helpers"]
    privileged = os.getuid() == 0
    if privileged:
        unshare(NEWNS)
        mount("none", "/", None, MS_REC | MS_PRIVATE)
        _stage(config)
    ready, go = os.pipe()
    pid = os.getpid()
    mapper = os.fork()
    if mapper == 0:
        status = 1
        try:
            os.close(go)
            if os.read(ready, 1):
                _map_ids(pid, ids, helpers, privileged)
                status = 0
        finally:
            os._exit(status)
    os.close(ready)
    unshare(NEWUSER | NEWNS)
    os.write(go, b"x")
    os.close(go)
    if os.waitpid(mapper, 0)[1] != 0:
        raise OSError("the user ids of the sandbox cannot be mapped")
    os.setresgid(0, 0, 0)
    if privileged or helpers:
        os.setgroups([])
    os.setresuid(0, 0, 0)
    if not privileged:
        mount("none", "/", None, MS_REC | MS_PRIVATE)
        _stage(config)


def _map_ids(pid: int, ids: Any, helpers: Any, privileged: bool) -> None:
    """`ids` are rows (inside, outside, count) for users and groups; `helpers` are the programs that may map what an
    ordinary user may not."""
    for name, rows in (("uid", ids["users"]), ("gid", ids["groups"])):
        if helpers:
            numbers = [str(number) for row in rows for number in row]
            # Not by subprocess, whose import takes as long as all the rest of the launcher.
            if os.spawnv(os.P_WAIT, helpers[name], [helpers[name], str(pid), *numbers]):
                raise OSError(f"{helpers[name]} failed")
            continue
        if name == "gid" and not privileged:
            with open(f"/proc/{pid}/setgroups", "w") as target:
                target.write("deny")
        with open(f"/proc/{pid}/{name}_map", "w") as target:
            target.write("\n".join(" ".join(map(str, row)) for row in rows))


def _stage(config: dict[str, Any]) -> None:
    """Lower directories may lie where the sandbox's root may not go; bound here they can be reached."""
    opened = {path: os.open(path, os.O_PATH) for _, lowers in config["overlays"] for path in lowers}
    mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,nr_inodes=1k,mode=1777")
    for number, (_, lowers) in enumerate(config["overlays"]):
        for index, path in enumerate(lowers):
            target = f"/tmp/lower-{number}-{index}"
            os.mkdir(target)
            mount(f"/proc/self/fd/{opened[path]}", target, None, MS_BIND | MS_REC)
    for descriptor in opened.values():
        os.close(descriptor)


def _become_init(config: dict[str, Any], control: socket.socket, program: dict[str, Any]) -> NoReturn:
    try:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.setsid()
        os.umask(0o022)
        _build_root(config)
        _bring_up_loopback()
        socket.sethostname("sandbox")
        with contextlib.suppress(OSError), open("/proc/sys/user/max_user_namespaces", "w") as file:
            file.write("0")
        _protect_proc()
        for name, value in config["rlimits"].items():
            resource.setrlimit(getattr(resource, name), (value, value))
        _drop_capabilities()
        libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        control.send(b'{"ready": true}')
        program["Init"](program["SocketChannel"](control)).serve()
    except BaseException as error:
        with contextlib.suppress(OSError):
            control.send(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
    finally:
        os._exit(1)


def _build_root(config: dict[str, Any]) -> None:
    """Copy-on-write over the staged parts; all that is written goes to one tmpfs of limited size."""
    scratch, root = "/tmp/scratch", "/tmp/root"
    os.mkdir(scratch)
    options = f"size={config['disk_mb']}m,nr_inodes={config['inodes']},mode=755"
    mount("tmpfs", scratch, "tmpfs", MS_NOSUID | MS_NODEV, options)
    os.mkdir(root)
    for number, (target, lowers) in enumerate(config["overlays"]):
        upper, work = f"{scratch}/upper-{number}", f"{scratch}/work-{number}"
        os.mkdir(upper)
        os.mkdir(work)
        lower = ":".join(f"/tmp/lower-{number}-{index}" for index in range(len(lowers)))
        mount(
            "overlay", root + target, "overlay", MS_NODEV, f"lowerdir={lower},upperdir={upper},workdir={work},userxattr"
        )
    mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("tmpfs", f"{root}/dev", "tmpfs", MS_NOSUID, "size=1m,nr_inodes=256,mode=755")
    for name in DEVICES:
        os.close(os.open(f"{root}/dev/{name}", os.O_CREAT, 0o666))
        mount(f"/dev/{name}", f"{root}/dev/{name}", None, MS_BIND)
    os.mkdir(f"{root}/dev/pts")
    os.mkdir(f"{root}/dev/shm")
    mount("devpts", f"{root}/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,max=64")
    mount("tmpfs", f"{root}/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "size=8m,nr_inodes=1k,mode=1777")
    for link, to in (
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "fd/0"),
        ("stdout", "fd/1"),
        ("stderr", "fd/2"),
    ):
        os.symlink(to, f"{root}/dev/{link}")
    os.chdir(root)
    machine = os.uname().machine
    _checked(libc.syscall(SYS_PIVOT_ROOT[machine], b".", b"."), "pivot_root")
    _checked(libc.umount2(b".", MNT_DETACH), "umount of the host's tree")
    os.chdir("/")


def _bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        fcntl.ioctl(probe, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))


def _protect_proc() -> None:
    for name in READ_ONLY:
        if os.path.exists(f"/proc/{name}"):
            mount(f"/proc/{name}", f"/proc/{name}", None, MS_BIND | MS_REC)
            flags = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
            mount("none", f"/proc/{name}", None, flags)
    for name in MASKED:
        if os.path.exists(f"/proc/{name}"):
            mount("/dev/null", f"/proc/{name}", None, MS_BIND)
    for name in MASKED_DIRECTORIES:
        if os.path.isdir(f"/proc/{name}"):
            mount("tmpfs", f"/proc/{name}", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "size=4k,nr_inodes=2,mode=555")


def _drop_capabilities() -> None:
    for capability in range(LAST_CAPABILITY + 1):
        if capability not in KEPT_CAPABILITIES:
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    kept = sum(1 << capability for capability in KEPT_CAPABILITIES)
    header = struct.pack("Ii", 0x20080522, 0)
    low, high = kept & 0xFFFFFFFF, kept >> 32
    _checked(libc.capset(header, struct.pack("6I", low, low, 0, high, high, 0)), "capset")


if __name__ == "__main__":
    main()
