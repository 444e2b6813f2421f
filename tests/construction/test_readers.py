"""What the roles say is read strictly: anything that would have to be forgiven would be imitated."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentx.construction.household_problem import BadReply
from agentx.construction.imitation import AGENT, ENVIRONMENT, read_dialogue, read_turn
from agentx.construction.paraphrase import reworded
from agentx.construction.scripted import script
from agentx.construction.three_roles import read_answer, read_move
from agentx.reasoning.styles import Style

STYLE = Style("react", multiline=True)
WORDS = st.text("abcdefgh XYZ1.,'", min_size=1).map(lambda text: " ".join(text.split())).filter(bool)


def test_a_move_is_read():
    move = read_move("THOUGHT: I see mug 1 there.\nACTION: Take mug 1 from shelf 1.\n")
    assert (move.thought, move.action) == ("I see mug 1 there.", "take mug 1 from shelf 1")
    assert move.reply == "THOUGHT: I see mug 1 there.\nACTION: take mug 1 from shelf 1"


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "go to shelf 1",
        "Action: go to shelf 1",
        "ACTION: go to shelf 1",
        "THOUGHT: a\nACTION: look\nACTION: look",
        "THOUGHT: a\nACTION: **look**",
        "THOUGHT: a\nACTION: look\nThen I go on.",
        "Sure!\nTHOUGHT: a\nACTION: look",
        "THOUGHT: a\nb\nACTION: look",
    ],
)
def test_a_move_in_another_form_is_refused(reply):
    with pytest.raises(BadReply):
        read_move(reply)


def test_an_answer_is_read():
    answer = read_answer("FEEDBACK: You open it.\nHINT: look inside\nSOLVED: No.\n")
    assert (answer.feedback, answer.hint, answer.solved) == ("You open it.", "look inside", False)
    assert read_answer("SOLVED: yes\n\nFEEDBACK: Done.").solved


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "You open it.",
        "FEEDBACK: a",
        "FEEDBACK:\nSOLVED: no",
        "FEEDBACK: a\nSOLVED: maybe",
        "FEEDBACK: a\nb\nSOLVED: no",
        "FEEDBACK: a\nFEEDBACK: b\nSOLVED: no",
    ],
)
def test_an_answer_in_another_form_is_refused(reply):
    with pytest.raises(BadReply):
        read_answer(reply)


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=5))
def test_a_written_dialogue_reads_back(parts):
    turns = [(f"THOUGHT: {thought}\nACTION: {action}", observation) for thought, action, observation in parts]
    read = read_dialogue(script(turns), STYLE)
    assert [turn.reply for turn in read] == [said for said, _ in turns]
    assert [turn.observation for turn in read[:-1]] == [observation for _, observation in turns[:-1]]
    assert read[-1].observation == ""


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Sure.\n" + AGENT + "\nTHOUGHT: a\nACTION: b",
        f"{ENVIRONMENT}\nx\n{AGENT}\nTHOUGHT: a\nACTION: b",
        f"{AGENT}\nTHOUGHT: a\nACTION: b\n{ENVIRONMENT}\nx",
        f"{AGENT}\nTHOUGHT: a\nACTION: b\n{AGENT}\nTHOUGHT: a\nACTION: b",
        f"{AGENT}\nTHOUGHT: a\nACTION: b\n{ENVIRONMENT}\n\n{AGENT}\nTHOUGHT: a\nACTION: b",
        f"{AGENT}\nACTION: b",
        f"{AGENT}\nTHOUGHT: a",
    ],
)
def test_a_dialogue_in_another_form_is_refused(reply):
    with pytest.raises(BadReply):
        read_dialogue(reply, STYLE)


@given(st.text())
def test_no_reply_breaks_a_reader(text):
    for read in (
        read_move,
        read_answer,
        lambda reply: read_turn(reply, STYLE),
        lambda reply: read_dialogue(reply, STYLE),
    ):
        try:
            read(text)
        except BadReply as error:
            assert str(error)


@given(st.text(), st.integers(0, 5))
def test_rewording_never_fails_and_never_says_nothing(text, seed):
    assert reworded(text, random.Random(seed)) or not text.strip()


def test_rewording_keeps_what_is_named_and_varies():
    thought = "I am at shelf 1. I look for mug: mug 2. I take it."
    ways = {reworded(thought, random.Random(seed)) for seed in range(40)}
    assert len(ways) > 8
    assert all("mug 2" in way.lower() for way in ways)
