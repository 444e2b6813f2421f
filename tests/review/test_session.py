from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentx.errors import UserError
from agentx.review.decisions import Decisions
from agentx.review.items import pairs, read_items
from agentx.review.session import Review, write_records
from agentx.tuning.datasets import read_conversations


@pytest.fixture
def review(made: Path, tmp_path: Path) -> Review:
    return Review(read_items(made), Decisions(tmp_path / "d.jsonl"))


@pytest.fixture
def comparison(made: Path, other: Path, tmp_path: Path) -> Review:
    return Review(pairs(read_items(made), read_items(other)), Decisions(tmp_path / "d.jsonl"))


def test_accepted_and_edited_records_are_written(review: Review, tmp_path: Path) -> None:
    review.decide(0, "Kim", "accept", "", {}, 1.0)
    review.decide(1, "Kim", "reject", "no", {}, 1.0)
    review.decide(2, "Kim", "accept", "", {"1": "THOUGHT: Better.\nACTION: take mug 3"}, 1.0)
    kept, counts = review.reviewed(accepted_by=1)
    assert counts == {"accepted": 2, "edited": 1, "rejected": 1, "open": 0}
    assert kept[1]["conversations"][1]["value"].startswith("THOUGHT: Better.")
    assert kept[1]["metadata"]["review"]["edited"] == [1]
    assert not kept[1]["metadata"]["review"]["verified_as_it_stands"]
    assert kept[0]["metadata"]["review"]["verified_as_it_stands"]
    write_records(kept, tmp_path / "reviewed.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "reviewed.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["train-1", "train-3"]


def test_two_acceptances_may_be_asked_for(review: Review) -> None:
    review.decide(0, "Kim", "accept", "", {}, 1.0)
    assert review.reviewed(accepted_by=2)[1]["open"] == 3
    review.decide(0, "Lee", "accept", "", {}, 1.0)
    assert review.reviewed(accepted_by=2)[1]["accepted"] == 1
    review.decide(0, "Ann", "reject", "", {}, 1.0)
    review.decide(0, "Bob", "reject", "", {}, 1.0)
    assert review.reviewed(accepted_by=2)[1] == {"accepted": 0, "edited": 0, "rejected": 1, "open": 2}


def test_a_comparison_tells_nothing_of_whose_is_whose(comparison: Review) -> None:
    shown = comparison.shown(0, "Kim")
    assert "made" not in json.dumps(shown) and "other" not in json.dumps(shown) and "facts" not in shown
    assert "replaced" not in json.dumps(shown)  # only one of the two may have been simulated


def test_sides_are_swapped_for_some_and_the_choice_means_the_same(comparison: Review) -> None:
    sides = {name: comparison.swapped(comparison.items[0], name) for name in map(str, range(20))}  # type: ignore[arg-type]
    assert set(sides.values()) == {True, False}
    for name, swapped in sides.items():
        better = next(
            i for i, side in enumerate(comparison.shown(0, name)["sides"]) if "A different" in side[1]["text"]
        )
        assert better == (0 if swapped else 1)
        comparison.decide(0, name, ("first", "second")[better], "", {}, 1.0)
        decision = comparison.shown(0, name)["decision"]
        assert decision is not None and decision["choice"] == ("first", "second")[better]
    assert comparison.preference().second == 20


def test_progress_names_the_first_open_item(review: Review) -> None:
    assert review.progress("Kim") == {"total": 3, "done": 0, "next": 0, "reviewers": {"Kim": 0}}
    review.decide(0, "Kim", "accept", "", {}, 1.0)
    review.decide(1, "Lee", "accept", "", {}, 1.0)
    assert review.progress("Kim") == {"total": 3, "done": 1, "next": 1, "reviewers": {"Kim": 1, "Lee": 1}}
    review.decide(0, "Kim", "", "", {}, 1.0)
    assert review.progress("Kim")["next"] == 0


@pytest.mark.parametrize(
    ("position", "reviewer", "choice", "edits"),
    [(9, "Kim", "accept", {}), (0, " ", "accept", {}), (0, "Kim", "maybe", {}), (0, "Kim", "accept", {"9": "x"}),
     (0, "Kim", "accept", [1]), (0, "K" * 61, "accept", {}), (0, "Kim", "accept", {"1": 5})],
)  # fmt: skip
def test_what_does_not_fit_is_refused(review: Review, position: int, reviewer: str, choice: str, edits: object) -> None:
    with pytest.raises(UserError):
        review.decide(position, reviewer, choice, "", edits, 0.0)
    assert not review.decisions.counting()


def test_reviewed_records_are_tuning_data(review: Review, tmp_path: Path) -> None:
    review.decide(0, "Kim", "accept", "", {}, 1.0)
    write_records(review.reviewed(1)[0], tmp_path / "reviewed.jsonl")
    (conversation,) = read_conversations(tmp_path / "reviewed.jsonl").conversations
    assert [m.trained for m in conversation.messages if m.role == "assistant"] == [True, True]
