import signal
import time

import pytest

from agentx.tasks.operating_system.namespaces import NamespaceSandbox
from agentx.tasks.operating_system.root_tree import root_tree
from agentx.tasks.operating_system.sandbox import Limits
from agentx.tasks.operating_system.shell import Shell

pytestmark = pytest.mark.sandbox


def transcript(run, *commands, silence=0.7, total=3.0):
    """What each command printed and how it ended, in one shell."""

    async def play():
        sandbox = await NamespaceSandbox.start(Limits(), root_tree())
        try:
            shell = Shell(sandbox, silence, total)
            await shell.start()
            return [await shell.run(command) for command in commands]
        finally:
            await sandbox.close()

    return run(play())


def test_state_stays_between_commands(run):
    outputs = transcript(
        run, "cd /etc; X=3; f() { echo called; }", "pwd; echo $X; f; shopt -q login_shell && echo login"
    )
    assert outputs[1].text == "/etc\n3\ncalled\nlogin\n"


@pytest.mark.parametrize(
    "command",
    [
        'printf "%s\\0" "$__shell_number"',
        "printf '\\0\\0root@sandbox:/# $ '",
        "echo 0123456789abcdef0123456789abcdef; sleep 0.2",
        "set",
        "cat /proc/$$/environ",
    ],
)
def test_output_cannot_look_like_an_end(run, command):
    outputs = transcript(run, f"{command}; sleep 0.1; echo last", "echo next")
    assert outputs[0].text.endswith("last\n") and outputs[0].ending == "finished"
    assert outputs[1].text == "next\n"


@pytest.mark.parametrize(
    "command", ["cat", "read x", "vim", "python3", "while :; do :; done", "sleep 60", "trap '' INT; cat"]
)
def test_what_waits_is_stopped_and_the_shell_comes_back(run, command):
    _, stopped, after = transcript(run, "X=kept", command, "echo $X")
    assert stopped.ending == "silent" and not stopped.restarted
    assert after.text == "kept\n"


@pytest.mark.parametrize(
    "command",
    ["exit", "exec 62>&- 63<&-", "kill -9 $$", "exec cat", "exec sleep 60", "trap '' INT; while :; do :; done"],
)
def test_a_shell_that_is_lost_is_replaced_in_its_directory(run, command):
    _, lost, after = transcript(run, "cd /tmp", command, "pwd")
    assert lost.restarted
    assert after.text in ("/tmp\n", "/\n") and after.ending == "finished"


def test_the_shell_does_not_ignore_what_the_run_ignores(run):
    """As a run does that was started in the background of a script, or by nohup."""
    ignored = [signal.SIGINT, signal.SIGQUIT, signal.SIGHUP]
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ignored}
    try:
        kinds, stopped, after = transcript(run, "trap -p; trap 'echo caught' INT; kill -INT $$", "sleep 60", "echo on")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert kinds.text == "caught\n"  # an ignored signal could not be trapped
    assert stopped.ending == "silent" and not stopped.restarted
    assert after.text == "on\n"


def test_total_time_and_floods_are_limited(run):
    started = time.monotonic()
    slow, flood, after = transcript(run, "while :; do echo x; sleep 0.1; done", "yes", "echo y", total=1.5)
    assert (slow.ending, flood.ending, after.text) == ("slow", "flood", "y\n")
    assert len(flood.text) <= 1 << 16
    assert time.monotonic() - started < 60


def test_a_script_larger_than_a_pipe_and_strange_bytes(run):
    large, strange, unfinished, after = transcript(
        run, ":" + " #" * 100_000 + "\necho done", "printf 'a\\377b'; echo -e '\\e[1m'", 'echo "', "echo ok"
    )
    assert large.text == "done\n"
    assert strange.text.startswith("a\ufffdb")
    assert unfinished.ending == "finished"
    assert after.text == "ok\n"


def test_background_programs_go_on(run):
    _, during = transcript(run, "(sleep 0.3; echo late > /tmp/late) &", "sleep 0.5; cat /tmp/late")
    assert "late\n" in during.text
