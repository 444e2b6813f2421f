from __future__ import annotations

import re
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from agentx.pretraining.plays import TASKS, Play, record
from agentx.pretraining.renaming import rename, tool_words

PLAY = Play(
    "database",
    (
        (
            "Which Plants are in bed two? The table is called garden_plants.",
            "I ask.",
            "SELECT `Plants` FROM `garden_plants`",
        ),
        ("[('Wild Rose',)]", "The rose.", "Final Answer: ['Wild Rose']"),
    ),
    "",
)


@given(st.integers(0, 10_000))
def test_a_name_is_the_same_everywhere_and_keeps_its_case(seed: int) -> None:
    new = rename(PLAY, Random(seed))
    table = re.search(r"called (\w+)\.", new.turns[0][0])
    assert table and new.turns[0][2].endswith(f"FROM `{table[1]}`")
    plants = re.search(r"SELECT `(\w+)`", new.turns[0][2])
    assert plants and plants[1][0].isupper() and f"Which {plants[1]} are" in new.turns[0][0]
    assert table[1].split("_")[1] == plants[1].lower()
    assert new.turns[1][0][3:-4] in new.turns[1][2]


def test_words_of_the_tools_and_product_numbers_stay() -> None:
    shown = "buy B07XJ8C8F5 in color plum"
    for seed in range(30):
        (turn,) = rename(Play("webshop", ((shown, "", "click[B07XJ8C8F5]"),), ""), Random(seed)).turns
        assert turn[0].startswith("buy B07XJ8C8F5 in color ") and turn[2] == "click[B07XJ8C8F5]"
        assert rename(PLAY, Random(seed)).turns[0][2].startswith("SELECT `")


def test_many_different_names_are_drawn() -> None:
    drawn = {rename(PLAY, Random(seed)).turns[0][2] for seed in range(60)}
    assert len(drawn) > 30


def test_the_recorded_plays_keep_their_questions() -> None:
    """What is renamed are names: the words of three letters that stay make up much of every question."""
    for task in TASKS:
        assert len(tool_words(task)) > 20
    for play in record("database", 6, seed=3):
        new = rename(play, Random(0))
        assert len(new.turns) == len(play.turns)
        for before, after in zip(play.turns, new.turns, strict=True):
            strip = re.compile(r"[A-Za-z]+")
            assert strip.sub("x", before[2]) == strip.sub("x", after[2])
