"""Containers: the command line, a pretended engine as a real process, and a real engine where there is one.

The pretended engine starts process 1 in a process namespace of its own (`kill -9 -1` must reach nothing here) and in
no other. What isolates is the real engine's part: AGENTX_TEST_IMAGE names an image of it with bash and python3 to test
with, and test_hostile.py tells how to aim its commands at containers.
"""

import asyncio
import json
import os
import subprocess
import sys

import pytest

from agentx.errors import UserError
from agentx.tasks.environment import Action
from agentx.tasks.operating_system import preparation
from agentx.tasks.operating_system.containers import ContainerSandbox, run_command
from agentx.tasks.operating_system.engines import Engine, EngineError, dockerfile, find_engine, own_image, ready_image
from agentx.tasks.operating_system.environment import OperatingSystemEnvironment
from agentx.tasks.operating_system.preparation import sandboxes
from agentx.tasks.operating_system.problems import Problem
from agentx.tasks.operating_system.sandbox import Limits, SandboxGone
from agentx.tasks.operating_system.settings import Settings
from agentx.tasks.operating_system.shell import Shell

ENGINE = Engine("docker", "/usr/bin/docker", "27")
FAKE = """#!{python}
import json, os, sys
here, (command, *rest) = {here!r}, sys.argv[1:]
with open(here + "/asked", "a") as log:
    log.write(json.dumps([command, *[word for word in rest if len(word) < 300]]) + "\\n")
answers = json.load(open(here + "/answers"))
if command == "run" and answers.get("run"):
    sys.exit(answers["run"])
if command == "run":
    program = rest[rest.index("-I"):]
    os.execvp("unshare", ["unshare", "-Urpf", "--kill-child", "--mount-proc", sys.executable, *program])
if command == "image" and rest[-1] not in answers["images"]:
    sys.exit("Error: No such image: " + rest[-1])
if command in ("build", "pull"):
    if command in answers["fails"]:
        sys.exit("Error: registry is out of reach")
    answers["images"].append(rest[-1] if command == "pull" else rest[rest.index("-t") + 1])
    open(here + "/given", "w").write(sys.stdin.read())
    json.dump(answers, open(here + "/answers", "w"))
print(answers.get(command, ""))
"""


class Fake:
    def __init__(self, folder):
        self.folder = folder
        (folder / "bin").mkdir()
        for name in ("docker", "podman"):
            (folder / "bin" / name).write_text(FAKE.format(python=sys.executable, here=str(folder)))
            (folder / "bin" / name).chmod(0o755)
        self.answer()

    def answer(self, **values):
        info = {"ServerVersion": "27.1", "Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}
        default = {"info": json.dumps(info), "images": ["python:3"], "fails": [], "inspect": "0"}
        (self.folder / "answers").write_text(json.dumps(default | values))

    def asked(self, command):
        lines = (self.folder / "asked").read_text().splitlines()
        return [words for words in map(json.loads, lines) if words[0] == command]


@pytest.fixture
def fake(tmp_path, monkeypatch):
    made = Fake(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    sandboxes.cache_clear()
    yield made
    sandboxes.cache_clear()


@pytest.fixture
def process_namespaces():
    if subprocess.run(["unshare", "-Urpf", "--mount-proc", "true"], capture_output=True).returncode:
        pytest.skip("the pretended engine needs process namespaces (unshare -Urpf)")


def test_the_command_line_keeps_a_container_apart():
    command = run_command(ENGINE, "python:3", Limits(memory_mb=300, disk_mb=40, processes=50), "agentx-1")
    options, rest = command[: command.index("python:3")], command[command.index("python:3") + 1 :]
    assert options[:4] == ["/usr/bin/docker", "run", "--rm", "-i"]
    for option in (
        "--network=none",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--memory=300m",
        "--memory-swap=300m",
        "--pids-limit=50",
        "--pull=never",
        "--log-driver=none",
        "--name=agentx-1",
    ):
        assert option in options
    added = {option.removeprefix("--cap-add=") for option in options if option.startswith("--cap-add=")}
    assert "CHOWN" in added and not added & {"SYS_ADMIN", "SYS_PTRACE", "NET_RAW", "NET_ADMIN", "MKNOD", "SYS_MODULE"}
    for forbidden in ("--volume", "-v", "--mount", "--privileged", "--pid", "--ipc", "--env", "--device", "--publish"):
        assert not any(option == forbidden or option.startswith(f"{forbidden}=") for option in options)
    assert rest[:3] == ["-I", "-S", "-c"] and json.loads(rest[-1])["RLIMIT_FSIZE"] == 40 << 20
    assert "RLIMIT_AS" not in json.loads(rest[-1])


def test_what_an_engine_cannot_limit_is_limited_otherwise():
    command = run_command(Engine("podman", "podman", "4", limits_memory=False), "i", Limits(), "n")
    assert not any(word.startswith(("--memory", "--pids-limit")) for word in command)
    assert json.loads(command[-1])["RLIMIT_AS"] == 256 << 20
    command = run_command(Engine("docker", "docker", "27", limits_disk=True), "i", Limits(disk_mb=9), "n")
    assert "--storage-opt=size=9m" in command
    command = run_command(Engine("podman", "podman", "4", id_options=("--uidmap=0:200000:65536",)), "i", Limits(), "n")
    assert "--uidmap=0:200000:65536" in command and "--ulimit=nproc=64:64" in command


def test_missing_and_silent_engines_are_one_line(fake, monkeypatch):
    fake.answer(info=json.dumps({"ServerVersion": "", "ServerErrors": ["permission denied at the socket"]}))
    with pytest.raises(UserError, match=r"task\.sandbox=docker: permission denied at the socket; start its daemon"):
        find_engine("docker")
    fake.answer(info="no JSON")
    with pytest.raises(UserError, match=r"task\.sandbox=podman: .*podman info"):
        find_engine("podman")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match=r"podman is not installed; install it \(Debian: apt install podman\)"):
        sandboxes("podman")


def test_podman_says_what_it_can_limit(fake):
    def info(rootless, version, controllers):
        host = {"security": {"rootless": rootless}, "cgroupVersion": version, "cgroupControllers": controllers}
        store = {"graphDriverName": "overlay", "graphStatus": {"Backing Filesystem": "xfs"}}
        return json.dumps({"host": host, "store": store, "version": {"Version": "4.3"}})

    fake.answer(info=info(True, "v1", []))
    rootless = find_engine("podman")
    assert not rootless.limits_memory and not rootless.limits_disk and rootless.id_options == ()
    fake.answer(info=info(True, "v2", ["cpu", "memory", "pids"]))
    assert find_engine("podman").limits_memory
    fake.answer(info=info(False, "v1", []))
    rootful = find_engine("podman")
    assert rootful.limits_memory and rootful.limits_disk and "--uidmap=0:200000:65536" in rootful.id_options


def test_the_image_is_built_or_pulled_once_and_named(fake):
    engine = find_engine("docker")
    assert ready_image(engine, "python:3") == "python:3" and not fake.asked("image")[1:]
    assert ready_image(engine, None) == ready_image(engine, None) == own_image()
    assert len(fake.asked("build")) == 1 and (fake.folder / "given").read_text() == dockerfile()
    assert ready_image(engine, "debian:12") == "debian:12" and fake.asked("pull") == [["pull", "debian:12"]]
    fake.answer(fails=["build", "pull"])
    with pytest.raises(
        UserError, match=r"task\.sandbox=docker: docker build: Error: registry is out of reach; .*task\."
    ):
        ready_image(engine, None)
    with pytest.raises(UserError, match=r"task\.image=other:1: docker pull: Error: registry is out of reach"):
        ready_image(engine, "other:1")


def test_a_container_that_does_not_start_is_told_before_the_run(fake):
    fake.answer(run="Error: crun: something is missing")
    with pytest.raises(UserError, match=r"python:3 does not start \(Error: crun: something is missing\)"):
        sandboxes("docker", image="python:3")


def test_one_that_fails_later_says_why(fake, run):
    fake.answer(run="Error: out of containers")

    async def start():
        await ContainerSandbox.start(Limits(), find_engine("docker"), "python:3")

    with pytest.raises(OSError, match="docker: Error: out of containers"):
        run(start())


def transcript(run, *commands, silence=0.7, total=3.0, engine=None, image="python:3"):
    async def play():
        sandbox = await ContainerSandbox.start(Limits(), engine or find_engine("docker"), image)
        try:
            shell = Shell(sandbox, silence, total)
            await shell.start()
            return [await shell.run(command) for command in commands]
        finally:
            await sandbox.close()

    return run(play())


@pytest.mark.usefixtures("fake", "process_namespaces")
class TestStream:
    """What travels over the one stream arrives whole and in order."""

    def test_shell(self, run):
        outputs = transcript(
            run,
            "cd /etc; X=3; pwd",
            "echo $X; pwd; echo error >&2",
            "seq 1000000 | tail -n 1",
            "head -c 60000 /dev/zero | tr '\\0' x; echo; echo last",
            ":" + " #" * 50_000 + "\necho done",
            "cat",
            "yes",
            "echo after",
            "exit 3",
            "pwd",
            "exec 62>&- 63<&-",
            "echo $X-",
            silence=1.5,
        )
        assert [output.text for output in outputs[:2]] == ["/etc\n", "3\n/etc\nerror\n"]
        assert outputs[2].text == "1000000\n"
        assert outputs[3].text == "x" * 60000 + "\nlast\n"
        assert outputs[4].text == "done\n"
        assert [output.ending for output in outputs[5:7]] == ["silent", "flood"]
        assert outputs[7].text == "after\n" and not any(output.restarted for output in outputs[:8])
        assert outputs[8].restarted and outputs[9].text in ("/etc\n", "/\n")
        assert outputs[10].restarted and outputs[11].text == "-\n"

    def test_an_end_never_overtakes_output(self, run):
        outputs = transcript(run, *[f"seq {number * 997}" for number in range(1, 16)])
        for number, output in enumerate(outputs, 1):
            whole = "".join(f"{line}\n" for line in range(1, number * 997 + 1))
            assert output.text == whole[: 1 << 16]

    def test_scripts_their_streams_and_their_time_limit(self, run):
        async def play():
            sandbox = await ContainerSandbox.start(Limits(), find_engine("docker"), "python:3")
            try:
                both = await sandbox.run(["bash", "-c", "cat; echo out; echo err >&2; exit 7"], 10)
                large = await sandbox.run(["head", "-c", "5000000", "/dev/zero"], 20, most_output=3_000_000)
                slow = await sandbox.run(["sleep", "60"], 0.5)
                missing = await sandbox.run(["no-such-program"], 5)
                many = await asyncio.gather(*(sandbox.run(["echo", str(i)], 10) for i in range(20)))
                await sandbox.kill_all()
                again = await sandbox.run(["echo", "there"], 5)
                return both, large, slow, missing, many, again
            finally:
                await sandbox.close()

        both, large, slow, missing, many, again = run(play())
        assert (both.status, both.output, both.errors) == (7, b"out\n", b"err\n")
        assert large.status == 0 and len(large.output) == 3_000_000
        assert slow.timed_out and slow.status == -9
        assert missing.status == 127
        assert [finished.output for finished in many] == [b"%d\n" % i for i in range(20)]
        assert again.output == b"there\n"

    def test_an_episode_and_what_it_leaves(self, run):
        async def play():
            settings = Settings(sandbox="docker", image="python:3", silence_seconds=2.0)
            environment = OperatingSystemEnvironment(Problem("p", "k", "d", match="4"), settings)
            await environment.reset()
            looked = await environment.step(Action("bash\n```bash\necho $((2+2)); sleep 100 &\n```", ""))
            answered = await environment.step(Action("answer(4)", ""))
            await environment.close()
            return looked, answered

        run(play())
        before = sorted(os.listdir("/proc/self/fd"))
        looked, answered = run(play())
        assert looked.observation.text.startswith("OUTPUT:\n4") and answered.reward == 1.0
        assert sorted(os.listdir("/proc/self/fd")) == before

    def test_a_container_that_is_killed_ends_its_use(self, run):
        async def play():
            sandbox = await ContainerSandbox.start(Limits(), find_engine("docker"), "python:3")
            shell = Shell(sandbox, 5, 5)
            await shell.start()
            sandbox._process.kill()
            try:
                with pytest.raises(SandboxGone):
                    await shell.run("echo 1")
                    await shell.run("echo 2")
            finally:
                await sandbox.close()

        run(play())

    def test_one_that_writes_too_much_is_ended_where_the_engine_has_no_limit(self, fake, run, monkeypatch):
        monkeypatch.setattr("agentx.tasks.operating_system.containers._DISK_GLANCE", 0.05)
        fake.answer(inspect=str(100 << 20))

        async def play():
            sandbox = await ContainerSandbox.start(Limits(disk_mb=64), find_engine("docker"), "python:3")
            try:
                while not fake.folder.joinpath("asked").read_text().count('"kill"'):
                    await asyncio.sleep(0.05)
            finally:
                await sandbox.close()

        run(play())
        assert fake.asked("kill")[0][1].startswith("agentx-")


@pytest.fixture(params=["docker", "podman"])
def real(request):
    """An engine that works, and an image."""
    image = os.environ.get("AGENTX_TEST_IMAGE")
    if not image:
        pytest.skip("AGENTX_TEST_IMAGE names no image with bash and python3")
    try:
        preparation.sandboxes.cache_clear()
        sandboxes(request.param, image=image)
    except UserError as error:
        pytest.skip(str(error))
    return find_engine(request.param), image


def test_real_containers_are_apart_limited_and_leave_nothing(real, run):
    engine, image = real
    look = "id -u; cat /sys/class/net/*/address | sort -u; grep CapEff /proc/self/status; ls -l /proc/1/fd/51; whoami"
    shell = transcript(run, look, "cat", "echo $((6*7))", "kill -9 -1", "echo on", engine=engine, image=image)
    assert shell[0].text.startswith("0\n00:00:00:00:00:00\n") and shell[0].text.endswith("root\n")
    assert int(shell[0].text.split("CapEff:")[1].split()[0], 16) & (1 << 21 | 1 << 19 | 1 << 13 | 1 << 27) == 0
    assert shell[1].ending == "silent" and shell[2].text == "42\n" and shell[4].text == "on\n"
    with pytest.raises(EngineError):
        engine.call("inspect", "--type=container", "agentx-none")
    assert f"agentx-{os.getpid()}-" not in engine.call("ps", "--all", "--format={{.Names}}")
