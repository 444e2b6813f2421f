from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentx.errors import UserError
from agentx.evaluation.store import ResultStore
from agentx.review.items import pairs, read_items
from agentx.trajectory import Candidate, Outcome, Step, Trajectory, Verdict
from agentx.trajectory import Path as Attempt


def test_a_constructed_trajectory_shows_what_verification_found(made: Path) -> None:
    first, second, _ = read_items(made)
    assert [turn.role for turn in first.turns] == ["user", "assistant", "user", "assistant"]
    assert first.turns[1].notes == (
        "simulated reply, replaced: Nothing happens.",
        "the real environment says: You take it.",
    )
    assert first.facts["verification"] == "verified" and second.facts["verification"] == "repaired"
    assert first.task == "household"


def test_openai_messages_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        json.dumps({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]})
    )
    (item,) = read_items(path)
    assert [turn.text for turn in item.turns] == ["Hi", "Yo"]


def test_equal_lines_keep_keys_of_their_own(tmp_path: Path, records: Callable[..., dict[str, Any]]) -> None:
    path = tmp_path / "twice.jsonl"
    path.write_text(2 * (json.dumps(records(1)) + "\n"))
    assert len({item.key for item in read_items(path)}) == 2


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"conversations": [{"from": "robot", "value": "x"}]}', '{"messages": [{"role": "user"}]}', "3"]
)
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text('{"messages": [{"role": "user", "content": "fine"}]}\n' + line + "\n")
    with pytest.raises(UserError, match=r"broken\.jsonl, line 2: no conversation"):
        read_items(path)


def test_missing_and_empty_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_items(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match=r"has no episodes\.jsonl"):
        read_items(tmp_path)
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(UserError, match="holds no trajectory"):
        read_items(tmp_path / "empty.jsonl")


def test_evaluated_episodes_are_reviewed_by_the_path_that_counts(tmp_path: Path) -> None:
    step = Step(0, [Candidate("ACTION: look", "look")], 0, "A desk.", 0.0, True, Verdict.HALLUCINATED)
    chosen = Attempt(1, [{"role": "user", "content": "Go."}], steps=[step])
    trajectory = Trajectory("game-1", paths=[Attempt(0, []), chosen], selected=1, outcome=Outcome.COMPLETED)
    ResultStore(tmp_path / "cell").append(trajectory)
    (item,) = read_items(tmp_path / "cell")
    assert [turn.text for turn in item.turns] == ["Go.", "ACTION: look", "A desk."]
    assert item.turns[1].notes == ("action: hallucinated",) and item.record is None


def test_pairs_are_of_one_sample(made: Path, other: Path, tmp_path: Path) -> None:
    found = pairs(read_items(made), read_items(other))
    assert [pair.first.sample == pair.second.sample for pair in found] == [True] * 3
    alone = tmp_path / "alone.jsonl"
    alone.write_text('{"id": "z", "messages": [{"role": "user", "content": "x"}]}')
    with pytest.raises(UserError, match="no sample in common"):
        pairs(read_items(made), read_items(alone))
