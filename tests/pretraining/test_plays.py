from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from agentx.pretraining import plays as plays_module
from agentx.pretraining.plays import Play, archive, record, tell


def test_a_play_has_the_environment_s_words_and_no_reply_format() -> None:
    for play in record("database", 4, seed=1):
        assert play.turns[0][0] and "think and act" not in play.turns[0][0]
        told = tell(play, Random(0)).text
        assert "ACTION:" not in told and "THOUGHT:" not in told
        for observation, _, action in play.turns:
            assert observation in told and action in told


def test_a_play_does_not_depend_on_how_many_there_are() -> None:
    assert (
        list(record("mind2web", 3, seed=2))
        == list(record("mind2web", 6, seed=2))[: len(list(record("mind2web", 3, seed=2)))]
    )


def test_the_archive_is_made_once_and_never_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [Play("database", (("a", "b", "c"),), "d")]
    monkeypatch.setattr(plays_module, "TASKS", ("database",))
    monkeypatch.setattr(plays_module, "record", lambda task, count, seed: iter(made))
    assert archive(tmp_path / "plays.jsonl", 1, 1) == made

    def broken(task: str, count: int, seed: int) -> None:
        raise AssertionError("recorded twice")

    monkeypatch.setattr(plays_module, "record", broken)
    assert archive(tmp_path / "plays.jsonl", 1, 1) == made
    with pytest.raises(AssertionError):
        archive(tmp_path / "other.jsonl", 1, 1)
    assert not (tmp_path / "other.jsonl").exists()


def test_long_plays_are_told_in_part() -> None:
    page = "a page of the shop " * 60
    play = Play("webshop", tuple((f"{page}{n}", "", f"click[{n}]") for n in range(6)), "thank you")
    told = {tell(play, Random(seed)).text for seed in range(40)}
    assert all(1 <= text.count("click[") <= 2 for text in told)
    assert {n for n in range(6) for text in told if f"click[{n}]" in text} == set(range(6))
    assert all(text.endswith("thank you") == ("click[5]" in text) for text in told)
