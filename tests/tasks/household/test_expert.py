from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentx.tasks.household.engine import Engine
from agentx.tasks.household.expert import HouseholdExpert, play
from agentx.tasks.household.games import build_game
from agentx.tasks.household.room import TASK_TYPES, random_room
from agentx.tasks.household.simulated_state import NOTHING_HAPPENS, SimulatedState


@pytest.mark.parametrize("split", ["train", "test"])
def test_solves_every_game_in_a_reasonable_number_of_steps(split):
    plays = [play(random_room(seed, TASK_TYPES[seed % 6], split), random.Random(seed)) for seed in range(600)]
    assert all(transcript.won for transcript in plays)
    assert sum(len(transcript.turns) for transcript in plays) / len(plays) < 13
    assert max(len(transcript.turns) for transcript in plays) <= 40


def test_solves_games_on_the_real_engine():
    for seed in range(12):
        room = random_room(seed, TASK_TYPES[seed % 6], "test")
        engine, expert = Engine(build_game(room)), HouseholdExpert(room.goal)
        state = engine.reset()
        expert.observe(state.feedback.partition("\n\n")[2])
        for _ in range(40):
            if state.won:
                break
            state = engine.step(expert.decide().action)
            expert.observe(state.feedback)
        assert state.won
        engine.close()


@pytest.mark.parametrize("seed", range(30))
def test_is_not_omniscient(seed):
    """Two rooms that differ only in what lies where get the same moves until the agent has seen a difference."""
    room = random_room(seed, TASK_TYPES[seed % 6], objects=12)
    places = [item.place for item in room.items]
    random.Random(seed).shuffle(places)
    moved = tuple(replace(item, place=place) for item, place in zip(room.items, places, strict=True))
    first, second = (
        play(variant, random.Random(seed), mistakes=0, order="listed") for variant in (room, replace(room, items=moved))
    )
    for one, other in zip(first.turns, second.turns, strict=False):
        if one.observation != other.observation:
            break
        assert (one.thought, one.action) == (other.thought, other.action)


def test_same_seed_same_play():
    room = random_room(4, TASK_TYPES[3])
    assert play(room, random.Random(1)) == play(room, random.Random(1))


def test_without_mistakes_every_command_does_something():
    for seed in range(200):
        transcript = play(random_room(seed, TASK_TYPES[seed % 6]), random.Random(seed), mistakes=0)
        assert all(turn.trained for turn in transcript.turns)
        observations = [turn.observation for turn in transcript.turns[1:]] + [transcript.ending]
        assert NOTHING_HAPPENS not in observations


def test_wrong_turns_are_marked_and_made_in_half_of_the_plays():
    plays = [play(random_room(seed, TASK_TYPES[seed % 6]), random.Random(seed)) for seed in range(400)]
    with_mistakes = sum(any(not turn.trained for turn in transcript.turns) for transcript in plays) / 400
    wrong = sum(not turn.trained for transcript in plays for turn in transcript.turns)
    assert 0.2 < with_mistakes < 0.5
    assert 0.02 < wrong / sum(len(transcript.turns) for transcript in plays) < 0.08


@given(st.integers(0, 10**6), st.sampled_from(TASK_TYPES), st.integers(1, 25))
@settings(max_examples=150, deadline=None)
def test_recovers_from_any_muddle(seed, task_type, steps):
    """Random commands first: things in hand, doors closed again, objects elsewhere. Then the expert takes over."""
    room = random_room(seed, task_type)
    state, rng = SimulatedState(room), random.Random(seed)
    expert = HouseholdExpert(room.goal)
    expert.observe(state.log[0][1])
    for _ in range(steps):
        expert.observe(state.do(rng.choice([*state.admissible_commands(), "nonsense"])))
        if state.won:
            return
    for _ in range(80):
        expert.observe(state.do(expert.decide().action))
        if state.won:
            return
    pytest.fail(f"not solved: {state.log[-6:]}")


def test_thoughts_name_the_place_first_and_the_find_before_the_decision():
    for seed in range(120):
        transcript = play(random_room(seed, TASK_TYPES[seed % 6]), random.Random(seed), mistakes=0)
        place = "in the middle of the room"
        for turn in transcript.turns:
            assert turn.thought.startswith(f"I am {place}.")
            assert len(turn.thought.split()) <= 30
            verb, _, rest = turn.action.partition(" ")
            if verb == "go":
                assert turn.thought.endswith(f"Next is {rest.removeprefix('to ')}.")
                place = f"at {rest.removeprefix('to ')}"
            elif verb == "take":
                item = " ".join(rest.split()[:2])
                assert turn.thought.endswith(f": {item}. I take it.")
                assert item in turn.observation or item in turn.thought


@pytest.mark.parametrize("order", ["listed", "likely", "shuffled"])
def test_orders_of_search(order):
    room = random_room(9, TASK_TYPES[0], receptacles=(10, 12))
    state = SimulatedState(room)
    expert = HouseholdExpert(room.goal, order, random.Random(0))
    expert.observe(state.restart())
    names = [receptacle.name for receptacle in room.receptacles]
    assert sorted(expert.plan) == sorted(names)
    assert (expert.plan == names) == (order == "listed")


def test_asking_before_the_first_observation_is_an_error():
    with pytest.raises(RuntimeError, match="first observation"):
        HouseholdExpert(random_room(0, TASK_TYPES[0]).goal).decide()


@given(st.lists(st.text(max_size=80), max_size=8))
@settings(max_examples=100, deadline=None)
def test_strange_observations_do_not_break_it(texts):
    state = SimulatedState(random_room(0, TASK_TYPES[0]))
    expert = HouseholdExpert(state.room.goal)
    expert.observe(state.restart())
    for text in texts:
        expert.observe(text)
        expert.decide()
