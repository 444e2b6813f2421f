"""Claims to a shared directory: of one machine, of several, of the dead."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import filelock
import pytest

from agentx.jobs.claims import ClaimedElsewhere, ClaimLost, claim_path, claimed, wait_for_any

HOLDER = """
import socket, sys, time
socket.gethostname = lambda: sys.argv[1]
from pathlib import Path
from agentx.jobs.claims import claimed
with claimed(Path(sys.argv[2]), dead_after=2):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Starts a process of the given machine that holds the claim to `tmp_path`/cell until its input ends."""
    started: list[subprocess.Popen[str]] = []

    def start(host: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLDER, host, str(tmp_path / "cell")]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def kill(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_a_claim_of_another_machine_is_respected_and_named(holder, tmp_path):
    process = holder("machine-a")
    with (
        pytest.raises(ClaimedElsewhere, match=f"process {process.pid} on machine-a"),
        claimed(tmp_path / "cell", wait=False, dead_after=2),
    ):
        pass
    process.communicate("")
    with claimed(tmp_path / "cell", wait=False, dead_after=2):
        assert claim_path(tmp_path / "cell").exists()
    assert not claim_path(tmp_path / "cell").exists()


def test_the_claim_of_a_process_killed_on_another_machine_is_taken_over(holder, tmp_path):
    kill(holder("machine-a"))
    with pytest.raises(ClaimedElsewhere), claimed(tmp_path / "cell", wait=False, dead_after=2):
        pass
    with claimed(tmp_path / "cell", wait=True, dead_after=2):
        pass


def test_the_claim_of_a_process_killed_on_this_machine_is_free_at_once(holder, tmp_path):
    import socket

    kill(holder(socket.gethostname()))
    with claimed(tmp_path / "cell", wait=False, dead_after=1000):
        pass


def test_a_dead_claim_is_taken_over_where_names_cannot_be_exchanged(holder, tmp_path, monkeypatch):
    """As on NFS."""
    kill(holder("machine-a"))
    monkeypatch.setattr(filelock._soft, "exchange_names", lambda *_: False)
    wait_for_any([claim_path(tmp_path / "cell")], dead_after=2)
    assert not claim_path(tmp_path / "cell").exists()


def test_a_living_claim_stays_where_names_cannot_be_exchanged(holder, tmp_path, monkeypatch):
    holder("machine-a")
    monkeypatch.setattr(filelock._soft, "exchange_names", lambda *_: False)
    from agentx.jobs.claims import Watch

    watch = Watch(claim_path(tmp_path / "cell"), dead_after=2)
    for _ in range(14):
        assert not watch.take()
        time.sleep(0.5)


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN], ids=["foreground", "background"])
def test_who_lost_its_claim_is_stopped(handler, tmp_path):
    """A shell's background processes ignore Ctrl-C; they are stopped all the same."""
    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(ClaimLost, match="another process took over"), claimed(tmp_path / "cell", dead_after=1):
            claim_path(tmp_path / "cell").unlink()
            time.sleep(60)
        assert signal.getsignal(signal.SIGINT) == handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_further_ranks_of_a_job_hold_no_claim(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    with claimed(tmp_path / "cell"):
        assert not list(Path(tmp_path).iterdir())
