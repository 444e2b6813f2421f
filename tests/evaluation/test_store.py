from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentx.evaluation.store import EPISODES, ResultStore
from agentx.trajectory import Candidate, Outcome, Step, Trajectory, Verdict
from agentx.trajectory import Path as Attempt

Make = Callable[..., Trajectory]


def test_episodes_come_back_whole_and_sorted(tmp_path: Path, make_trajectory: Make) -> None:
    store = ResultStore(tmp_path)
    written = [make_trajectory("b", 1, 1.0), make_trajectory("b", 0), make_trajectory("a", 0)]
    for trajectory in written:
        store.append(trajectory)
    store.close()
    again = ResultStore(tmp_path)
    assert again.trajectories() == [written[2], written[1], written[0]]
    assert again.done() == {("a", 0), ("b", 0), ("b", 1)}
    assert again.torn == 0


def test_the_first_of_two_results_counts(tmp_path: Path, make_trajectory: Make) -> None:
    store = ResultStore(tmp_path)
    store.append(make_trajectory("a", 0, 1.0))
    store.append(make_trajectory("a", 0, 0.0))
    assert [t.reward for t in store.trajectories()] == [1.0]


def test_infrastructure_errors_are_not_done(tmp_path: Path, make_trajectory: Make) -> None:
    store = ResultStore(tmp_path)
    for sample in ("a", "b"):
        store.append(Trajectory(sample, outcome=Outcome.INFRASTRUCTURE_ERROR, limit="first"))
    store.append(Trajectory("a", outcome=Outcome.INFRASTRUCTURE_ERROR, limit="second"))
    assert store.done() == set()
    assert [(t.sample, t.limit) for t in store.infrastructure_errors()] == [("a", "second"), ("b", "first")]
    store.append(make_trajectory("a"))
    assert store.done() == {("a", 0)}
    assert [t.sample for t in store.infrastructure_errors()] == ["b"]


hostile_text = st.text(st.characters(), max_size=12) | st.sampled_from(
    ["\ud800", "\n", "\r\n", "\x00", "\u2028", '"}\n{"', "{}", "\N{GRINNING FACE}", "\x1b[2J"]
)


def trajectory_saying(text: str, sample: str) -> Trajectory:
    step = Step(0, [Candidate(text, text, text)], 0, text, 0.0, False, Verdict.VALID)
    return Trajectory(sample, paths=[Attempt(0, [{"role": "user", "content": text}], steps=[step])])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(hostile_text, min_size=1, max_size=3))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    store = ResultStore(tmp_path_factory.mktemp("cell"))
    written = [trajectory_saying(text, f"s{i}") for i, text in enumerate(texts)]
    for trajectory in written:
        store.append(trajectory)
    assert store.trajectories() == written
    assert store.episodes_path.read_bytes().count(b"\n") == len(written)


def test_a_file_cut_at_any_byte_loses_only_the_cut_episode(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "whole")
    written = [Trajectory(f"s{i}", limit="é\n{") for i in range(2)]
    for trajectory in written:
        store.append(trajectory)
    whole = store.episodes_path.read_bytes()
    ends = [i for i, byte in enumerate(whole) if byte == ord("\n")]
    cell = tmp_path / "cut"
    for size in range(len(whole) + 1):
        cell.mkdir(exist_ok=True)
        for file in cell.iterdir():
            file.unlink()
        (cell / EPISODES).write_bytes(whole[:size])
        # A record that lacks only its line feed is whole.
        kept = sum(size >= end for end in ends)
        is_torn = size > 0 and size not in ends and size - 1 not in ends
        reopened = ResultStore(cell)
        assert reopened.trajectories() == written[:kept], size
        assert reopened.torn == is_torn, size
        for trajectory in written[kept:]:
            reopened.append(trajectory)
        assert ResultStore(cell).trajectories() == written
        assert all(json.loads(line) for line in (cell / EPISODES).read_bytes().splitlines())
        assert (cell / EPISODES).read_bytes() == whole
        assert ResultStore(cell).torn == is_torn


def test_a_torn_line_left_by_another_process_is_repaired_on_append(tmp_path: Path, make_trajectory: Make) -> None:
    store = ResultStore(tmp_path)
    store.append(make_trajectory("a"))
    with store.episodes_path.open("ab") as file:
        file.write(b'{"sample": "b", "tri')
    assert store.done() == {("a", 0)}
    store.append(make_trajectory("c"))
    assert store.done() == {("a", 0), ("c", 0)}
    assert store.torn == 1


def test_damaged_lines_are_left_out_and_counted(tmp_path: Path, make_trajectory: Make) -> None:
    store = ResultStore(tmp_path)
    store.append(make_trajectory("a"))
    with store.episodes_path.open("ab") as file:
        file.write(b"\x00\x00\n[1]\nnull\n" + b"[" * 100_000 + b'\n{"sample":"z","outcome":"nonsense"}\n{}\n')
    store.append(make_trajectory("b"))
    assert store.done() == {("a", 0), ("b", 0)}
    assert store.unreadable == 6
    assert [t.sample for t in store.trajectories()] == ["a", "b"]
    assert store.unreadable == 6


def test_a_full_disk_leaves_no_half_line(
    tmp_path: Path, make_trajectory: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ResultStore(tmp_path)
    store.append(make_trajectory("a"))
    before = store.episodes_path.read_bytes()
    write = os.write

    def short_then_full(descriptor: int, data: bytes) -> int:
        if len(data) < 50:
            raise OSError(28, "No space left on device")
        return write(descriptor, bytes(data)[: len(data) // 2])

    monkeypatch.setattr(os, "write", short_then_full)
    with pytest.raises(OSError, match="No space"):
        store.append(make_trajectory("b"))
    monkeypatch.undo()
    assert store.episodes_path.read_bytes() == before
    store.append(make_trajectory("b"))
    assert store.done() == {("a", 0), ("b", 0)}


WRITER = textwrap.dedent(
    """
    import sys
    from agentx.evaluation.store import ResultStore
    from agentx.trajectory import Path, Trajectory

    directory, name, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    store = ResultStore(directory, fsync_seconds=3600)
    opening = [{"role": "user", "content": "x" * 200_000}]
    print("ready", flush=True)
    for i in range(number):
        store.append(Trajectory(f"{name}-{i:06d}", paths=[Path(0, opening)]))
        print(i, flush=True)
    """
)


def writer(directory: Path, name: str, number: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory), name, str(number)], stdout=subprocess.PIPE, text=True
    )


def test_kill_9_keeps_every_episode_that_was_reported(tmp_path: Path) -> None:
    for round_ in range(4):
        process = writer(tmp_path, f"r{round_}", 1_000_000)
        assert process.stdout is not None
        reported = -1
        for line in process.stdout:
            if line.strip() != "ready":
                reported = int(line)
            if reported == 3 + round_:
                break
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().split()
        process.wait()
        process.stdout.close()
        reported = max([reported, *map(int, rest)])
        done = {sample for sample, _ in ResultStore(tmp_path).done()}
        assert {f"r{round_}-{i:06d}" for i in range(reported + 1)} <= done
        assert len([sample for sample in done if sample.startswith(f"r{round_}-")]) <= reported + 2
    for line in (tmp_path / EPISODES).read_bytes().splitlines():
        json.loads(line)


def test_processes_append_to_one_cell_at_the_same_time(tmp_path: Path) -> None:
    processes = [writer(tmp_path, name, 20) for name in ("p", "q")]
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    store = ResultStore(tmp_path)
    assert store.done() == {(f"{name}-{i:06d}", 0) for name in ("p", "q") for i in range(20)}
    assert store.torn == store.unreadable == 0
