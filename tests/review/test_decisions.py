from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from agentx.errors import UserError
from agentx.review.decisions import Decision, Decisions


def test_the_latest_word_counts_and_survives(tmp_path: Path) -> None:
    decisions = Decisions(tmp_path / "d.jsonl")
    decisions.add(Decision("a", "Kim", "accept", comment="good"))
    decisions.add(Decision("a", "Kim", "reject", edits={"1": "x"}))
    decisions.add(Decision("b", "Kim", "accept"))
    decisions.add(Decision("b", "Kim", ""))
    again = Decisions(tmp_path / "d.jsonl")
    assert again.of("a", "Kim") is not None and again.of("a", "Kim") == decisions.of("a", "Kim")
    assert again.of("b", "Kim") is None
    assert again.reviewers() == ["Kim"] and again.by("Kim", ["a", "b"]) == {"a": "reject"}


def test_a_line_cut_short_by_a_crash_costs_that_line_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "d.jsonl"
    Decisions(path).add(Decision("a", "Kim", "accept"))
    with path.open("ab") as file:
        file.write(b'{"item": "b", "revie')
    after = Decisions(path)
    after.add(Decision("c", "Kim", "reject"))
    assert {d.item for d in Decisions(path).counting()} == {"a", "c"}
    assert "holds no decision" in caplog.text


def _write(path: Path, reviewer: str) -> None:
    decisions = Decisions(path)
    for number in range(20):
        decisions.add(Decision(str(number), reviewer, "accept", comment="x" * 500))


def test_several_processes_share_one_file(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_write, args=(path, name)) for name in ("a", "b", "c")]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert len(Decisions(path).counting()) == 60


def test_what_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    decisions = Decisions(tmp_path / "d.jsonl")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match=r"could not be written .No space left"):
        decisions.add(Decision("a", "Kim", "accept"))
