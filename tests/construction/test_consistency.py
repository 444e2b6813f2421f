import pytest

from agentx.construction.consistency import inconsistency
from agentx.construction.record import Dialogue, Turn

INSTRUCTION = "You act in a room. Commands: go to Y, take X from Y, open Y, look."
CLASSES = frozenset({"mug", "desk", "shelf", "pencil"})


def turn(thought, action, shown, false=None, verdict="valid"):
    """A turn as it was written, with the false reply where there was one, and as it was played, with the real one."""
    reply = f"THOUGHT: {thought}\nACTION: {action}"
    written = Turn(reply, thought, action, shown if false is None else false)
    played = Turn(reply, thought, action, shown, "simulated" if false is None else "real", said=false, verdict=verdict)
    return written, played


def found(*turns, classes=CLASSES, hint=""):
    written, played = (
        Dialogue(0, "d", "household", "k", {}, "There are a desk 1, a shelf 1.", list(side))
        for side in zip(*turns, strict=True)
    )
    for dialogue in (written, played):
        dialogue.turns[0].hint = hint
    return inconsistency(written, played, classes, INSTRUCTION)


LAST = turn("I put it down.", "move mug 1 to shelf 1", "You move the mug 1 to the shelf 1.")
REAL = "You arrive at desk 1. On the desk 1, you see a mug 1, and a pencil 2."


def test_a_repair_that_nothing_rests_on_is_consistent():
    first = turn("I begin.", "go to desk 1", REAL, false="You arrive at desk 1. On the desk 1, you see a mug 1.")
    take = turn("There is the mug.", "take mug 1 from desk 1", "You pick up the mug 1 from the desk 1.")
    assert found(first, take, LAST) == ""


@pytest.mark.parametrize(
    ("false", "real", "thought", "says"),
    [
        (f"{REAL} It smells of lavender.", REAL, "The lavender tells me enough.", "says 'lavender'"),
        ("OUTPUT:\n42", "OUTPUT:\n17", "So there are 42 of them.", "says '42', which only the false reply to turn 0"),
        ("Nothing happens.", REAL, "I go on.", "as if it had done nothing"),
        (REAL, "Nothing happens.", "I go on.", "as if it had worked"),
        ("On the desk 1, you see a pencil 2.", REAL, "The mug is not here.", "says 'not' after a reply that hid"),
        ("You see nothing.", REAL, "It isn't on the desk.", 'says "isn\'t" after a reply'),
    ],
)
def test_what_follows_from_a_false_reply_does_not_fit_the_real_one(false, real, thought, says):
    take = turn(thought, "look", "You look around.")
    assert says in found(turn("I begin.", "go to desk 1", real, false=false), take, LAST, classes=())


def test_a_number_is_the_same_however_it_is_written():
    first = turn("I ask.", "SELECT MAX(a)", "[(38.0,)]", false="[(38,)]")
    assert found(first, turn("It is 38.", "Answer ['38']", ""), classes=()) == ""


def test_it_may_be_said_where_it_was_known_anyway():
    before = turn("I count.", "look", "You see 42 things that smell of lavender.")
    first = turn("I begin.", "go to desk 1", REAL, false=f"{REAL} It smells of lavender. There are 42.")
    assert found(before, first, turn("The lavender, the 42 things.", "look", "You look around."), LAST) == ""
    later = turn("I go on.", "look", "There is lavender on the shelf.")
    first = turn("I begin.", "go to desk 1", REAL, false=f"{REAL} It smells of lavender.")
    assert found(first, later, turn("The lavender!", "look", "You look around."), LAST) == ""


def test_turns_that_are_not_imitated_may_say_anything():
    first = turn("I begin.", "go to desk 1", REAL, false=f"{REAL} It smells of lavender.")
    lost = turn("The lavender is not here.", "take lavender", "Nothing happens.", verdict="invalid_action")
    assert found(first, lost, LAST) == ""


def test_a_reply_that_was_corrected_before_the_agent_saw_it_misleads_nobody():
    written, played = turn("I begin.", "go to desk 1", REAL, false=f"{REAL} It smells of lavender.")
    written.said, written.observation, written.by = played.said, REAL, "real"
    assert found((written, played), turn("I smell lavender, or not.", "look", "You look around."), LAST) == ""


def test_things_and_hints_that_the_text_does_not_show():
    first = turn("I begin.", "look", "You look around.")
    assert "turn 1 speaks of mug 1, which was never shown" in found(first, LAST)
    assert found(first, LAST, classes=()) == ""
    hinted = turn("As the hint says I look on.", "look", "You look around.")
    assert found(first, hinted) == ""
    assert "turn 1 speaks of a hint" in found(first, hinted, hint="Try the desk.")
