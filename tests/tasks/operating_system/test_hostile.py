"""Hostile commands. Each aims at canaries made here (a file, a process, sockets, a neighbouring sandbox); after each
the canaries are whole, none of their secrets has been shown, and the episode ends as any other.

AGENTX_TEST_SANDBOX=docker or podman, with an image of bash and python3 in AGENTX_TEST_IMAGE, aims them at containers.

Should a limit of the sandbox not hold, the test's own control groups are there to stop what gets out, and what
multiplies or grows is not run at all before the sandbox is seen to have its limits.
"""
# ruff: noqa: E501 (commands are kept on one line each)

import asyncio
import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentx.tasks.environment import Action
from agentx.tasks.operating_system.environment import OperatingSystemEnvironment
from agentx.tasks.operating_system.namespaces import NamespaceSandbox
from agentx.tasks.operating_system.preparation import sandboxes
from agentx.tasks.operating_system.problems import Problem, Script
from agentx.tasks.operating_system.root_tree import root_tree
from agentx.tasks.operating_system.sandbox import Limits, Sandbox
from agentx.tasks.operating_system.settings import Settings
from agentx.trajectory import Outcome

pytestmark = pytest.mark.sandbox

SANDBOX = {
    "sandbox": os.environ.get("AGENTX_TEST_SANDBOX", "namespaces"),
    "image": os.environ.get("AGENTX_TEST_IMAGE"),
}
GROWING = {
    "fork bomb": "b() { b | b & }; b; sleep 1",
    "fork bomb of other users": "for u in 1 2 3 4 5 6; do setpriv --reuid=$u bash -c 'b() { b | b & }; b; sleep 1' & done; sleep 1",
    "many sleeping programs": "for i in $(seq 300); do sleep 30 & done; wait",
    "many threads": "python3 -c 'import threading, time\nfor _ in range(1000): threading.Thread(target=time.sleep, args=(9,)).start()'",
    "memory in one program": "python3 -c 'x = bytearray(400 << 20)'",
    "memory by doubling": "x=xxxxxxxx; while :; do x=$x$x; done",
    "memory in a pipe line": "head -c 400m /dev/zero | tail",
    "memory in /dev/shm": "head -c 400m /dev/zero > /dev/shm/big; ls -l /dev/shm",
    "disk in one file": "head -c 400m /dev/zero > /root/big; ls -l /root",
    "disk in many files": "i=0; while [ $i -lt 40 ]; do head -c 4m /dev/zero > /tmp/$i || break; i=$((i+1)); done; df /",
    "inodes": "mkdir /tmp/i; cd /tmp/i; python3 -c 'for i in range(60000): open(str(i), \"w\")'",
    "a sparse giant": "truncate -s 1T /root/sparse; ls -l /root",
}
COMMANDS = GROWING | {
    "read the canary file": "cat {file}",
    "read the canary by way of process 1": "cat /proc/1/root{file}; ls /proc/1/root/; cat /proc/1/cwd{file}",
    "climb out with dots": "cat ../../../../../../../../{file}",
    "chroot twice": "mkdir -p /tmp/c; python3 -c 'import os\nf = os.open(\"/\", 0); os.chroot(\"/tmp/c\"); os.fchdir(f)\nfor _ in range(50): os.chdir(\"..\")\nos.chroot(\".\"); print(open(\"{file}\").read())'",
    "descriptors of process 1": "ls -l /proc/1/fd; for f in /proc/1/fd/*; do head -c 100 $f; done",
    "symbolic link to the canary": "ln -s {file} /tmp/link; cat /tmp/link",
    "hard link to the canary": "ln {file} /tmp/hard; cat /tmp/hard",
    "another episode's files": "cat /root/secret; find / -name 'secret*' -not -path '/proc/*' -exec head -c 99 {} + 2>/dev/null; ls /proc/*/root/root",
    "write the canary file": "echo broken > {file}; rm -f {file}",
    "read the canary's memory": "cat /proc/{pid}/environ /proc/{pid}/cmdline",
    "kill the canary process": "kill -9 {pid}",
    "kill everything": "kill -9 -1",
    "kill process 1": "kill -9 1; kill -STOP 1; kill -TERM 1",
    "stop the shell's parents": "kill -STOP $PPID; kill -9 $PPID",
    "signal every number": "for i in $(seq 1 2000); do kill -0 $i 2>/dev/null && echo $i; done; python3 -c 'import os\nfor i in range(2, 40000):\n  try: os.kill(i, 9)\n  except OSError: pass'",
    "trace process 1": "python3 -c 'import ctypes; print(ctypes.CDLL(None).ptrace(16, 1, 0, 0))'",
    "trace the canary": "python3 -c 'import ctypes; print(ctypes.CDLL(None).ptrace(16, {pid}, 0, 0))'",
    "write process 1's memory": "dd if=/dev/zero of=/proc/1/mem bs=1 count=1 seek=4194304",
    "connect to the canary's port": "exec 9<>/dev/tcp/127.0.0.1/{port}; cat <&9",
    "connect to the abstract socket": "python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.connect(\"\\0{abstract}\"); print(s.recv(99))'",
    "connect to the socket file": "python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.connect(\"{socket}\"); print(s.recv(99))'",
    "reach the network": "timeout 2 bash -c 'echo > /dev/tcp/192.0.2.1/80'; cat /proc/net/dev; cat /proc/net/route",
    "raw packets": "python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'",
    "name service": "timeout 2 getent hosts example.com",
    "mount a tmpfs": "mount -t tmpfs none /mnt",
    "mount proc anew": "mkdir /tmp/p; mount -t proc proc /tmp/p; cat /tmp/p/1/environ",
    "unmount what hides the host": "umount -a; umount -l /; umount -l /proc; ls /",
    "remount writable": "mount -o remount,rw /proc/sys; echo 1 > /proc/sys/kernel/panic",
    "pivot the root": "mkdir -p /tmp/new/old; pivot_root /tmp/new /tmp/new/old",
    "new user namespace": "unshare -Urm mount -t tmpfs none /mnt && echo mounted",
    "enter other namespaces": "nsenter -t 1 -a id; nsenter -t {pid} -m cat {file}",
    "block device": "mknod /tmp/d b 254 0 && cat /tmp/d | head -c 10; mknod /tmp/m c 1 1 && head -c 10 /tmp/m",
    "physical memory": "head -c 10 /dev/mem; head -c 10 /proc/kcore | od; head -c 100 /dev/kmsg",
    "kernel settings": "echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger; sysctl -w kernel.panic=1",
    "kernel modules": "insmod /tmp/x.ko; modprobe dummy; rmmod ext4",
    "clock and name": "date -s 2001-01-01; hostname canary-broken",
    "reboot": "reboot -f; python3 -c 'import ctypes; print(ctypes.CDLL(None).reboot(0x01234567))'",
    "setuid shell": "cp /bin/bash /tmp/sh; chmod 4777 /tmp/sh; /tmp/sh -p -c 'cat {file}'",
    "file capabilities": "cp /usr/bin/python3 /tmp/py; setcap cap_sys_admin+ep /tmp/py; /tmp/py -c 'import ctypes; print(ctypes.CDLL(None).mount(b\"none\", b\"/mnt\", b\"tmpfs\", 0, 0))'",
    "raise own limits": "ulimit -u unlimited; ulimit -n 1000000; renice -20 $$; prlimit --pid $$ --nproc=100000",
    "leave the control group": "ls /sys/fs/cgroup; mkdir /tmp/cg; mount -t cgroup2 none /tmp/cg && echo $$ > /tmp/cg/cgroup.procs",
    "priority and scheduling": "chrt -f 99 true; ionice -c 1 true; taskset -p 1 1",
    "keys of the host": "keyctl show; cat /proc/keys",
    "shared memory of the host": "ipcs -a; ipcrm --all",
    "output flood": "yes {file}",
    "flood on the error channel": "while :; do echo flood >&2; done",
    "flood of binary": "cat /dev/urandom",
    "flood on the end channel": "cat /dev/zero >&62",
    "forged ends": "for i in 1 2 3; do printf '%s\\0' $__shell_number >&62; done; sleep 2",
    "close all descriptors": "for i in $(seq 0 99); do eval \"exec $i>&-\"; done",
    "steal the next command": "cat <&63 &",
    "end the shell": "exit 7",
    "replace the shell": "exec /bin/true",
    "programs that outlive the episode": "setsid nohup bash -c 'trap \"\" HUP TERM; while :; do sleep 1; done' >/dev/null 2>&1 &",
    "remove everything": "rm -rf --no-preserve-root / 2>/dev/null; echo gone",
    "move the programs away": "mv /usr/bin /usr/gone; ls",
    "break the login": "echo 'exit 1' > /etc/profile; echo 'exec sleep 99' > /root/.bash_profile; exit",
    "unusable terminal": "stty raw -isig -echo; stty intr undef; cat",
    "limitless wait without signals": "trap '' INT TERM HUP QUIT; while :; do :; done",
    "freeze the shell": "kill -STOP $$",
}  # fmt: skip


class Canaries:
    """What hostile commands are aimed at, with secrets they must not show."""

    def __init__(self, folder: Path) -> None:
        self.secret = f"canary-{secrets.token_hex(8)}"
        self.file = folder / "canary"
        self.file.write_text(self.secret)
        self.process = subprocess.Popen(["sleep", "1000"], env={"SECRET": self.secret})
        self.abstract = f"agentx-canary-{secrets.token_hex(4)}"
        self.path = folder / "s"
        self.listeners = [socket.socket(socket.AF_INET), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)]
        for listener, address in zip(
            self.listeners, (("127.0.0.1", 0), f"\0{self.abstract}", str(self.path)), strict=True
        ):
            listener.bind(address)
            listener.listen()
            listener.setblocking(False)

    def fill(self, command: str) -> str:
        values = {
            "file": self.file,
            "pid": self.process.pid,
            "port": self.listeners[0].getsockname()[1],
            "abstract": self.abstract,
            "socket": self.path,
        }
        for name, value in values.items():
            command = command.replace(f"{{{name}}}", str(value))
        return command

    def check(self) -> None:
        assert self.file.read_text() == self.secret
        assert self.process.poll() is None
        for listener in self.listeners:
            with pytest.raises(BlockingIOError):
                listener.accept()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for listener in self.listeners:
            listener.close()


@pytest.fixture(scope="module", autouse=True)
def outer_limits():
    """Control groups around the whole test process, the second line of defence, where they can be made."""
    made = []
    for controller, name, limit in (("pids", "pids.max", "600"), ("memory", "memory.limit_in_bytes", str(4 << 30))):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == controller:
                old = Path("/sys/fs/cgroup") / controller / path.lstrip("/")
                new = old / f"agentx-test-{os.getpid()}"
                with contextlib.suppress(OSError):
                    new.mkdir()
                    (new / name).write_text(limit)
                    (new / "cgroup.procs").write_text(str(os.getpid()))
                    made.append((old, new))
    yield
    for old, new in made:
        (old / "cgroup.procs").write_text(str(os.getpid()))
        with contextlib.suppress(OSError):
            new.rmdir()


@pytest.fixture(scope="module")
def runner():
    with asyncio.Runner() as runner:
        yield lambda coroutine: runner.run(asyncio.wait_for(coroutine, 60))


@pytest.fixture(scope="module")
def canaries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("canaries")
    folder.chmod(0o777)
    made = Canaries(folder)
    yield made
    made.close()


@pytest.fixture(scope="module")
def neighbour(runner, canaries):
    async def start():
        sandbox = await sandboxes(SANDBOX["sandbox"], image=SANDBOX["image"]).start(Limits())
        script = f"echo {canaries.secret} > /root/secret; chmod 777 /root /root/secret; sleep 1000 >/dev/null 2>&1 &"
        assert (await sandbox.run(["bash", "-c", script], 5)).status == 0
        return sandbox

    sandbox = runner(start())
    yield sandbox
    runner(sandbox.close())


def is_limited(sandbox: Sandbox) -> bool:
    by = (sandbox.limits.memory, sandbox.limits.processes)
    return all("control groups" in limit for limit in by) or os.geteuid() != 0


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.timeout(90)
def test_harms_nothing_and_ends_as_an_ordinary_outcome(name, runner, canaries, neighbour):
    async def play():
        settings = Settings(
            silence_seconds=1.5, command_seconds=3.0, memory_mb=64, disk_mb=16, processes=32, max_rounds=3, **SANDBOX
        )
        environment = OperatingSystemEnvironment(Problem("p", "k", "d", match="right"), settings)
        try:
            await environment.reset()
            if name in GROWING and not is_limited(environment.sandbox):
                pytest.skip("no control groups here: the sandbox's limits cannot be relied on")
            results = []
            for action in (
                f"bash\n```bash\n{canaries.fill(COMMANDS[name])}\n```",
                "bash\n```bash\necho on\n```",
                "answer(right)",
            ):
                results.append(await environment.step(Action(action, "")))
                if results[-1].done:
                    break
            check = await neighbour.run(["bash", "-c", "cat /root/secret; pgrep -c sleep"], 10)
            return results, check.output.decode()
        finally:
            await environment.close()

    results, alive = runner(play())
    assert alive == f"{canaries.secret}\n1\n"
    canaries.check()
    shown = "".join(result.observation.text for result in results)
    assert canaries.secret not in shown
    assert results[-1].done
    if "sandbox_gone" in results[-1].notices:
        assert results[-1].outcome is Outcome.INVALID_ACTION and results[-1].reward == 0.0
    else:
        assert results[-1].outcome is Outcome.COMPLETED and results[-1].reward == 1.0


TRICKS = {
    "a link from what is checked to the canary": "ln -sf {file} /root/result",
    "a link from what is checked to a device": "ln -sf /dev/zero /root/result",
    "a pipe in place of what is checked": "rm -f /root/result; mkfifo /root/result",
    "a link to itself": "rm -f /root/result; ln -s result /root/result",
    "a folder in place of what is checked": "rm -f /root/result; mkdir /root/result",
    "other programs before the real ones": "mkdir -p /usr/local/bin; for p in cat test python3 bash; do printf '#!/bin/sh\\nexit 0\\n' > /usr/local/bin/$p; chmod +x /usr/local/bin/$p; done",
    "functions for every bash": "echo 'cat() { echo right; }; [ () { true; }' > /root/.bashrc; export BASH_ENV=/root/.bashrc; export -f cat 2>/dev/null",
    "a library before all others": "echo /tmp/none.so > /etc/ld.so.preload",
    "a python module in the way": "mkdir -p /usr/local/lib/python3/dist-packages; echo 'raise SystemExit(0)' > /sys.py; echo 'raise SystemExit(0)' > /usercustomize.py",
    "a flood from what is checked": "rm -f /root/result; ln -s /dev/urandom /root/result; ulimit -f 0",
}  # fmt: skip
"""before the checking scripts look at /root/result"""


@pytest.mark.parametrize("name", TRICKS)
@pytest.mark.timeout(90)
def test_tricks_with_the_checking_scripts_stay_inside(name, runner, canaries, neighbour):
    """A check that is fooled inside may give a wrong verdict, as AgentBench's do; it ends, shows nothing of the host
    and touches nothing there."""
    checks = (Script("cat /root/result"), Script('echo written > /root/result; [ "$2" = right ]'))
    problem = Problem("p", "k", "d", checks=checks)

    async def play():
        settings = Settings(silence_seconds=1.5, script_seconds=2.0, memory_mb=64, disk_mb=16, processes=32, **SANDBOX)
        environment = OperatingSystemEnvironment(problem, settings)
        try:
            await environment.reset()
            await environment.step(Action(f"bash\n```bash\n{canaries.fill(TRICKS[name])}\n```", ""))
            result = await environment.step(Action("finish", ""))
            check = await neighbour.run(["bash", "-c", "cat /root/secret"], 10)
            return result, check.output.decode()
        finally:
            await environment.close()

    result, alive = runner(play())
    assert alive == f"{canaries.secret}\n"
    canaries.check()
    assert result.done and result.outcome in (Outcome.COMPLETED, Outcome.INVALID_ACTION)
    assert canaries.secret not in result.observation.text


def test_there_are_at_least_forty_and_they_are_different():
    assert len(set(COMMANDS.values())) == len(COMMANDS) >= 40


def traces() -> tuple[set[str], list[str], int, set[str]]:
    """Child processes, mounts, descriptors and control groups of this process's sandboxes."""
    children = set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
    groups = {str(path) for path in Path("/sys/fs/cgroup").glob("**/agentx-*") if str(os.getpid()) in path.name}
    return children, Path("/proc/self/mounts").read_text().splitlines(), len(os.listdir("/proc/self/fd")), groups


def test_nothing_is_left_of_sandboxes(run):
    async def episodes(count):
        for index in range(count):
            sandbox = await NamespaceSandbox.start(Limits(), root_tree())
            await sandbox.run(["bash", "-c", "setsid sleep 100 >/dev/null 2>&1 & echo x > /root/x"], 5)
            if index % 2:
                await sandbox.kill_all()
            await sandbox.close()

    run(episodes(1))
    before = traces()
    run(episodes(10))
    assert traces() == before


def test_sandboxes_end_with_the_process_that_made_them(tmp_path, run):
    """Even when it is killed; what it could not tidy up the next sandbox does."""
    program = tmp_path / "make.py"
    before = set(groups_of_the_dead())
    mark = f"sleep {secrets.randbelow(10**6) + 10**6}"
    program.write_text(
        "import asyncio, os, signal\n"
        "from agentx.tasks.operating_system.namespaces import NamespaceSandbox\n"
        "from agentx.tasks.operating_system.root_tree import root_tree\n"
        "from agentx.tasks.operating_system.sandbox import Limits\n"
        "async def main():\n"
        "    sandbox = await NamespaceSandbox.start(Limits(), root_tree())\n"
        f"    await sandbox.run(['bash', '-c', 'setsid {mark} >/dev/null 2>&1 & sleep 0.2'], 5)\n"
        "    print('started', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    done = subprocess.run([sys.executable, program], env=environment, capture_output=True, timeout=60)
    assert done.stdout == b"started\n"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and running(mark):
        time.sleep(0.05)
    assert not running(mark)

    async def another():
        await (await NamespaceSandbox.start(Limits(), root_tree())).close()

    # The kernel may take a moment to let go of the killed processes' group: then a later sandbox removes it.
    deadline = time.monotonic() + 20
    while set(groups_of_the_dead()) - before and time.monotonic() < deadline:
        run(another())
    assert not set(groups_of_the_dead()) - before


def groups_of_the_dead() -> list[str]:
    """Control groups of sandboxes whose owner is no more."""
    owned = [path.name for path in Path("/sys/fs/cgroup").glob("**/agentx-*-*")]
    owners = {name: name.split("-")[1] for name in owned}
    return [name for name, pid in owners.items() if pid.isdigit() and not Path("/proc", pid).exists()]


def running(command: str) -> bool:
    wanted = command.replace(" ", "\0").encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if wanted in path.read_bytes():
                return True
    return False


def test_canaries_notice(tmp_path):
    """The same commands, let loose outside on canaries of their own, are noticed."""
    for name in ("write the canary file", "kill the canary process", "connect to the canary's port"):
        made = Canaries(tmp_path)
        try:
            made.check()
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(["bash", "-c", made.fill(COMMANDS[name])], timeout=0.5, capture_output=True)
            with pytest.raises((AssertionError, OSError, pytest.fail.Exception)):
                made.check()
        finally:
            made.close()
            made.path.unlink()
