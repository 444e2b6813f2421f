import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentx.construction import household_problem as problems
from agentx.construction.household_problem import BadReply, ImpossibleProblem
from agentx.construction.scripted import HouseholdRoles
from agentx.conversation import Message
from agentx.models.chat import Request
from agentx.tasks.household.room import Goal, Item, Receptacle, Room
from agentx.tasks.household.settings import TASK_TYPES, Settings
from agentx.trajectory import Purpose

SHELF = Receptacle("Shelf|1", "Shelf", "shelf 1", False)
DESK = Receptacle("Desk|1", "Desk", "desk 1", False)
FRIDGE = Receptacle("Fridge|1", "Fridge", "fridge 1", True)
ROOM = Room(
    0,
    "train",
    1,
    Goal("pick_and_place_simple", "Mug", "Desk"),
    "put a mug in desk",
    (DESK, FRIDGE, SHELF),
    (Item("Apple", "apple 1", "fridge 1"), Item("Mug", "mug 1", "shelf 1")),
)


def reply(item="mug", target="desk", sentence="bring a mug to the desk"):
    return f"OBJECT: {item}\nTARGET: {target}\nPROBLEM: {sentence}"


def test_a_problem_is_read_and_posed_in_the_engines_own_words():
    problem = problems.read_problem(reply("Mug", "desk 1", "Bring me a mug to the desk, please."), ROOM)
    assert problem == {"item": "Mug", "target": "Desk", "lamp": "", "sentence": "Bring me a mug to the desk, please"}
    posed = problems.with_problem(ROOM, problem)
    assert posed.task == "put a mug in desk"
    shown = problems.worded("You see.\n\nYour task is to: put a mug in desk.", posed, problem)
    assert shown.endswith("Your task is to: Bring me a mug to the desk, please.")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "OBJECT: is missing"),
        ("Here you are:\n" + reply(), "one line each"),
        (reply() + "\nOBJECT: pan", "one line each"),
        ("OBJECT: mug\nPROBLEM: bring a mug to the desk", "TARGET: is missing"),
        ("OBJECT: mug\nLAMP: desklamp\nPROBLEM: bring a mug to the desk", "one line each"),
        (reply(sentence='"#{x}" [[grammar]]'), "plain sentence"),
        (reply(sentence="ab"), "plain sentence"),
        (reply(sentence="a" * 300), "plain sentence"),
    ],
)
def test_a_wrong_form_is_named(text, says):
    with pytest.raises(BadReply, match=says) as caught:
        problems.read_problem(text, ROOM)
    assert not isinstance(caught.value, ImpossibleProblem)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (reply("unicorn"), "no thing 'unicorn'"),
        (reply(target="sofa"), "no place 'sofa'"),
        (reply(target="shelf"), "solved before anything is done"),
        (reply(target="fridge", item="apple"), "solved before anything is done"),
    ],
)
def test_what_the_room_does_not_allow_is_named(text, says):
    with pytest.raises(ImpossibleProblem, match=says):
        problems.read_problem(text, ROOM)


@given(st.text())
def test_no_reply_breaks_the_reader(text):
    with pytest.raises(BadReply):
        problems.read_problem(text, ROOM)


def test_the_scripted_question_generator_sets_the_problem_of_every_task_type_in_several_wordings():
    settings = Settings()
    sentences = set()
    for index in range(36):
        room = problems.room_for(settings, 3, index)
        assert (room.split, room.task_type) == ("train", TASK_TYPES[index % 6])
        model = HouseholdRoles(room, f"3/{index}")
        said = model.reply([Message("user", "?")], Request(role="question", purpose=Purpose.WRITE))
        problem = problems.read_problem(said, room)
        goal = room.goal
        assert (problem["item"], problem["target"], problem["lamp"]) == (goal.item, goal.target, goal.lamp)
        sentences.add(
            (
                room.task_type,
                problem["sentence"].replace(goal.item.lower(), "X").replace(goal.target.lower() or "-", "Y"),
            )
        )
    assert len(sentences) > 15


def test_every_thing_and_place_is_described():
    text = problems.described(ROOM)
    assert text.splitlines() == ["- desk 1: nothing", "- fridge 1 (closed): apple 1", "- shelf 1: mug 1"]
    assert problems.room_for(Settings(), 0, 5) == problems.room_for(Settings(), 0, 5)
