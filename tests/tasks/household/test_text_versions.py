from __future__ import annotations

import json
import os
import random
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentx.conversation import Message
from agentx.tasks.household import prompts
from agentx.tasks.household.engine import Engine
from agentx.tasks.household.room import TASK_TYPES
from agentx.tasks.household.text_versions import answer_in, command_in, game_text, mismatch, offered, prompt_in

SHARED_DATA = Path(os.environ.get("AGENTX_SHARED_DATA", Path(__file__).parents[3].parent / "shared" / "data"))

NAMES = st.builds("{} {}".format, st.from_regex(r"[a-z]{2,12}", fullmatch=True), st.integers(1, 30))
CURRENT = st.one_of(
    st.builds("move {} to {}".format, NAMES, NAMES),
    st.builds("go to {}".format, NAMES),
    st.builds("take {} from {}".format, NAMES, NAMES),
    st.builds("heat {} with {}".format, NAMES, NAMES),
    st.builds("open {}".format, NAMES),
    st.sampled_from(["look", "inventory"]),
)


@given(CURRENT)
def test_commands_go_to_the_classic_text_and_back(command):
    classic = command_in("classic", command)
    assert command_in("current", classic) == command
    assert command_in("classic", classic) == classic
    assert command_in("current", command) == command


@given(NAMES, NAMES)
def test_putting_is_what_differs(item, place):
    assert command_in("classic", f"move {item} to {place}") == f"put {item} in/on {place}"
    assert answer_in("classic", f"You move the {item} to the {place}.") == f"You put the {item} in/on the {place}."


@given(st.text(alphabet="acdehmnoptuv /\n.12", max_size=80))
def test_translation_never_fails_and_settles(text):
    for version in ("current", "classic"):
        once = answer_in(version, text, "go to desk 1")
        assert answer_in(version, once, "go to desk 1") == once
        assert command_in(version, command_in(version, text)) == command_in(version, text)


def play(engine: Engine, seed: int, steps: int):
    """(command, answer, available commands) of a walk in the engine's own text."""
    rng = random.Random(seed)
    state = engine.reset()
    for _ in range(steps):
        acts = [command for command in state.admissible if not command.startswith("go to ")]
        command = rng.choice(acts if rng.random() < 0.6 else state.admissible)
        if rng.random() < 0.05:
            command = "go to nowhere 1"
        state = engine.step(command)
        yield command, state.feedback, state.admissible


def test_recorded_answers_go_to_the_classic_text_and_back(make_game):
    arrivals = moves = 0
    for seed in range(12):
        engine = Engine(make_game(seed))
        for command, answer, _ in play(engine, seed, 40):
            classic = answer_in("classic", answer, command)
            assert "You arrive at" not in classic and "You move the" not in classic
            assert answer_in("current", classic, command) == answer
            assert answer_in("current", classic, command_in("classic", command)) == answer
            arrivals += answer.startswith("You arrive at")
            moves += answer.startswith("You move the")
        engine.close()
    assert arrivals > 20 and moves > 5


def test_the_translation_is_what_the_classic_grammar_says(make_game, classic_grammar):
    """The same walk on the same game with ALFWorld 0.3's grammar: shown in either text, the two agree."""
    for seed in range(6):
        game = make_game(seed)
        assert (game_text(game), game_text(classic_grammar(game))) == ("current", "classic")
        current, classic = Engine(game), Engine(classic_grammar(game))
        now, then = current.reset(), classic.reset()
        assert now.feedback == then.feedback
        rng = random.Random(seed)
        plan = list(game["walkthrough"])
        for step in range(30):
            own = offered("classic", then.admissible)
            translated = offered("classic", now.admissible)
            assert list(own) == list(translated) == sorted(translated)
            shown = command_in("classic", plan[step]) if step < len(plan) else rng.choice(list(own))
            now, then = current.step(translated[shown]), classic.step(own[shown])
            assert answer_in("classic", now.feedback, shown) == answer_in("classic", then.feedback, shown)
            assert answer_in("current", then.feedback, shown) == now.feedback
            assert now.won == then.won
        assert set(offered("current", now.admissible)) - set(offered("current", then.admissible)) == {"help"}
        current.close()
        classic.close()


def test_a_refused_walk_is_not_an_arrival():
    assert answer_in("current", "Nothing happens.", "go to desk 9") == "Nothing happens."


def test_a_classic_engine_s_location_is_cut_or_named():
    answer = "You arrive at loc 12. On the desk 1, you see a mug 1."
    assert answer_in("classic", answer, "go to desk 1") == "On the desk 1, you see a mug 1."
    assert answer_in("current", answer, "go to desk 1") == "You arrive at desk 1. On the desk 1, you see a mug 1."


@pytest.mark.parametrize("style", prompts.STYLES)
@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_the_prompt_is_of_the_text(task_type, style):
    current = prompts.opening(task_type, style, 1)
    assert prompt_in("current", current) == current
    classic = prompt_in("classic", current)
    assert [message.role for message in classic] == [message.role for message in current]
    assert not mismatch([message.content for message in classic if message.role == "assistant"], "classic")
    assert not mismatch([message.content for message in current if message.role == "assistant"], "current")
    told = "\n".join(message.content for message in classic if message.role == "user")
    assert not re.search(r"You arrive at|You move the|move X to Y", told)
    assert "put X in/on Y" in told


def test_mismatch_names_the_actions_the_text_never_offers():
    replies = [
        "THOUGHT: There it is.\nACTION: take mug 1 from desk 1",
        "ACTION: put mug 1 in/on shelf 2",
        "ACTION: Go to shelf 2.",
        "ACTION: move mug 1 to shelf 2",
        "SELECT name FROM cups",
    ]
    assert mismatch(replies, "current") == ["put mug 1 in/on shelf 2"]
    assert mismatch(replies, "classic") == ["move mug 1 to shelf 2"]
    assert mismatch(["ACTION: Task succeeded."], "classic") == ["task succeeded"]


@pytest.mark.skipif(not (SHARED_DATA / "sft").is_dir(), reason="no recorded conversations: set AGENTX_SHARED_DATA")
def test_agentinstruct_is_found_to_be_classic():
    replies: list[str] = []
    with (SHARED_DATA / "sft" / "agentinstruct_reconstructed.jsonl").open() as lines:
        for line in lines:
            row = json.loads(line)
            if row["source"].endswith("/alfworld"):
                replies += [turn["value"] for turn in row["conversations"] if turn["from"] == "gpt"]
    assert len(replies) > 3000
    in_current, in_classic = mismatch(replies, "current"), mismatch(replies, "classic")
    assert Counter(action.split(" ")[0] for action in in_current)["put"] > 300
    assert len(in_classic) < 60 < len(in_current)


def test_messages_keep_their_training_mark():
    told = [Message("user", "You move the mug 1 to the desk 1."), Message("assistant", "ACTION: look", True)]
    assert prompt_in("classic", told)[1] == told[1]
