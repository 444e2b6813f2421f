import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentx.construction.agreement import agree, contradictions
from agentx.construction.record import Turn


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "You arrive at shelf 1. On the shelf 1, you see a mug 1, and a pan 2.",
            "you arrive at Shelf 1.  On the shelf 1, you see a pan 2, a mug 1",
        ),
        ("On the desk 1, you see an apple 1.", "On the desk 1, you see a apple 1."),
        ("-rw-r--r-- 1 root root 5 Nov 21 04:02 a.txt", "-rw-r--r-- 1 root root 5 Nov 22 17:45 a.txt"),
        ("started 2026-11-21 04:02:11.5", "started 2026-11-22 05:00:00"),
    ],
)
def test_the_same_in_other_words_agrees(one, other):
    assert agree(one, other)
    assert agree(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("On the shelf 1, you see a mug 1.", "On the shelf 1, you see a mug 2."),
        ("On the shelf 1, you see nothing.", "On the shelf 1, you see a mug 1."),
        ("The shelf 1 is closed.", "The shelf 1 is open."),
        ("Nothing happens.", "You open the drawer 1."),
        ("OUTPUT:\n5", "OUTPUT:\n6"),
        ("OUTPUT:\n1200", "OUTPUT:\n1300"),
    ],
)
def test_another_fact_does_not(one, other):
    assert not agree(one, other)


@given(st.text())
def test_everything_agrees_with_itself(text):
    assert agree(text, text)


def turns(*pairs: tuple[str, str], **facts) -> list[Turn]:
    return [Turn("", "", action, reply, **facts) for action, reply in pairs]


GO = ("go to shelf 1", "You arrive at shelf 1. On the shelf 1, you see a mug 1, and a pan 1.")
TAKE = ("take mug 1 from shelf 1", "You pick up the mug 1 from the shelf 1.")
AWAY = ("go to desk 1", "You arrive at desk 1. On the desk 1, you see nothing.")


def test_what_follows_from_the_actions_is_no_contradiction():
    back = ("go to shelf 1", "You arrive at shelf 1. On the shelf 1, you see a pan 1.")
    put = ("move mug 1 to desk 1", "You move the mug 1 to the desk 1.")
    again = ("go to desk 1", "You arrive at desk 1. On the desk 1, you see a mug 1.")
    assert contradictions(turns(GO, TAKE, AWAY, put, back, again)) == []


def test_a_listing_that_does_not_follow_is_one():
    assert contradictions(turns(GO, TAKE, AWAY, GO)) == [3]
    emptied = ("go to shelf 1", "You arrive at shelf 1. On the shelf 1, you see nothing.")
    assert contradictions(turns(GO, AWAY, emptied)) == [2]


def test_only_simulated_replies_are_blamed():
    assert contradictions(turns(GO, TAKE, AWAY, GO, by="real")) == []
    assert contradictions(turns(GO, TAKE, AWAY) + turns(GO, by="real")) == []


def test_a_look_repeated_with_nothing_done_in_between():
    select = "Operation\n```sql\nSELECT * FROM t\n```"
    insert = "Operation\n```sql\nINSERT INTO t VALUES (1)\n```"
    assert contradictions(turns((select, "[(1,)]"), (select, "[(2,)]"))) == [1]
    assert contradictions(turns((select, "[(1,)]"), (insert, "[]"), (select, "[(1,), (1,)]"))) == []


def test_a_reply_that_was_corrected_is_judged_as_it_was_said():
    corrected = Turn(
        "", "", "go to shelf 1", "right", said="You arrive at shelf 1. On the shelf 1, you see nothing.", by="real"
    )
    assert contradictions([*turns(GO, AWAY), corrected]) == [2]


@given(st.lists(st.tuples(st.text(), st.text()), max_size=8))
def test_any_text_can_be_looked_at(pairs):
    found = contradictions(turns(*pairs))
    assert all(0 <= number < len(pairs) for number in found)
