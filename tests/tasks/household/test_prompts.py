from __future__ import annotations

import pytest

from agentx.errors import ConfigError
from agentx.reasoning.styles import Style
from agentx.tasks.household.layouts import split_scenes
from agentx.tasks.household.prompts import STYLES, examples, opening, reply
from agentx.tasks.household.room import TASK_TYPES, random_room
from agentx.tasks.household.simulated_state import SimulatedState


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_examples_are_real_play_on_training_rooms(task_type):
    example = examples()[task_type]
    room = random_room(example.room_seed, task_type, "train", (6, 8), 8)
    assert room.floor_plan in split_scenes("train")
    state = SimulatedState(room)
    observation = state.restart()
    for turn in example.turns:
        assert not state.won
        assert turn.observation == observation
        observation = state.do(turn.action)
    assert state.won
    assert example.ending == observation


@pytest.mark.parametrize("style", STYLES)
def test_example_replies_parse_without_forgiveness(style):
    parser = Style(style)
    for example in examples().values():
        for turn in example.turns:
            parsed = parser.parse(reply(style, turn))
            assert (parsed.action, parsed.forgiven) == (turn.action, ())
            assert parsed.thought == {"io": "", "cot": turn.reasoning, "react": turn.thought}[style]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("shots", [0, 1, 2, 6])
def test_turns_alternate_and_end_where_the_observation_follows(style, shots):
    messages = opening("pick_two_obj_and_place", style, shots)
    assert [message.role for message in messages] == [("user", "assistant")[i % 2] for i in range(len(messages))]
    assert messages[-1].role == ("user" if shots else "assistant")
    first = ["pick_two_obj_and_place", *(kind for kind in TASK_TYPES if kind != "pick_two_obj_and_place")][:shots]
    assert len(messages) == 2 + sum(2 * len(examples()[kind].turns) for kind in first) + bool(shots)
    assert not any(message.trained for message in messages)
    assert not any("{" in message.content for message in messages)


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_the_first_example_is_of_the_same_type(task_type):
    messages = opening(task_type, "react", 2)
    assert examples()[task_type].turns[0].observation in messages[2].content


def test_every_style_has_an_instruction_of_its_own():
    instructions = {opening(TASK_TYPES[0], style, 0)[0].content for style in STYLES}
    assert len(instructions) == 3
    assert "THOUGHT:" in opening(TASK_TYPES[0], "react", 0)[0].content
    assert "THOUGHT:" not in opening(TASK_TYPES[0], "cot", 0)[0].content


def test_instruction_names_every_kind_of_command_the_engine_knows():
    instruction = opening(TASK_TYPES[0], "io", 0)[0].content
    verbs = "go to,take,move,open,close,heat,clean,cool,use,examine,look,inventory"
    assert all(f"- {verb}" in instruction for verb in verbs.split(","))


def test_compact_is_one_short_user_line_a_style():
    openings = [opening(task_type, style, 0, "compact") for task_type in TASK_TYPES for style in STYLES]
    assert all(len(messages) == 1 and messages[0].role == "user" for messages in openings)
    assert len({messages[0].content for messages in openings}) == 3
    assert all("\n" not in messages[0].content and len(messages[0].content) < 40 for messages in openings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pick", "react", 1), "task type=pick"),
        ((TASK_TYPES[0], "act", 1), "method.style=act"),
        ((TASK_TYPES[0], "react", 7), "method.shots=7"),
        ((TASK_TYPES[0], "react", -1), "method.shots=-1"),
        ((TASK_TYPES[0], "react", 1, "compact"), "use method.shots=0"),
        ((TASK_TYPES[0], "react", 0, "fancy"), "task.prompt=fancy"),
    ],
)
def test_wrong_options_are_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        opening(*arguments)
