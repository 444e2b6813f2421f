"""Evaluation samples among training data: planted ones are found, others are not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentx.conversation import Conversation, Message
from agentx.tuning.contamination import find_overlaps

LONG = "You are in the middle of a room and your task is to put a clean mug on the desk by the window at once"
VOCABULARY = ["go", "to", "the", "desk", "mug", "take", "a", "b"]


def training(*texts: str) -> list[Conversation]:
    return [Conversation((Message("user", text),), "train", str(number)) for number, text in enumerate(texts)]


def test_word_for_word_contained_partial_and_absent() -> None:
    data = training(
        f"First. {LONG}! Then more.",
        LONG.upper(),
        "Something else altogether, about the weather of that day and the next one too.",
    )
    half = "You are in the middle of a room and your task is to find a lamp and look at the vase under it"
    found = {o.sample: o for o in find_overlaps({"whole": LONG, "half": half, "none": "x " * 30}, data, 8)}
    assert set(found) == {"whole", "half"}
    assert found["whole"].share == 1 and found["whole"].exact and found["whole"].conversations == ("train:0", "train:1")
    assert 0.2 < found["half"].share < 0.6 and not found["half"].exact


def test_short_statements_are_looked_for_whole_and_ids_are_compared() -> None:
    data = training("Please count the red books now.", "Count the blue books.")
    found = find_overlaps({"a": "count the red books", "b": "count the green books", "1": "hm"}, data, 13)
    assert [(o.sample, o.share, o.exact, o.same_id) for o in found] == [("a", 1.0, False, False), ("1", 0, False, True)]


@given(
    text=st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=30),
    asked=st.lists(st.sampled_from(VOCABULARY), min_size=3, max_size=12),
    ngram=st.integers(3, 8),
)
def test_the_share_is_what_a_plain_search_finds(text: list[str], asked: list[str], ngram: int) -> None:
    size = min(ngram, len(asked))
    grams = {tuple(asked[i : i + size]) for i in range(len(asked) - size + 1)}
    present = {tuple(text[i : i + size]) for i in range(len(text) - size + 1)}
    found = find_overlaps({"s": " ".join(asked)}, training(" ".join(text)), ngram)
    share = found[0].share if found else 0
    assert share == len(grams & present) / len(grams)
