from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentx.tasks.household.engine import Engine
from agentx.tasks.household.games import build_game
from agentx.tasks.household.room import HEAT, LOOK, TASK_TYPES, random_room
from agentx.tasks.household.simulated_state import NOTHING_HAPPENS, SimulatedState, listing

WELCOME = "-= Welcome to TextWorld, ALFRED! =-\n\n"


def noisy_command(state: SimulatedState, rng: random.Random) -> str:
    """Mostly what is possible here, sometimes something that is not."""
    commands = state.admissible_commands()
    draw = rng.random()
    if draw < 0.15:
        return broken(rng.choice(commands), state, rng)
    local = [command for command in commands if not command.startswith("go to ")]
    changing = [command for command in local if command.split()[0] in CHANGING]
    if draw < 0.65 and changing:
        return rng.choice(changing)
    return rng.choice(commands if draw < 0.9 else local)


CHANGING = {"take", "move", "open", "close", "heat", "clean", "cool", "slice", "use"}


def broken(command: str, state: SimulatedState, rng: random.Random) -> str:
    item = rng.choice(state.room.items).name
    place = rng.choice(state.room.receptacles).name
    return rng.choice(
        [
            f"go to {state.at}",
            f"take {item} from {place}",
            f"move {item} to {place}",
            f"put {item} in {place}",
            f"use {item}",
            f"examine {item}",
            f"examine {place}",
            f"open {place}",
            f"close {place}",
            f"heat {item} with {place}",
            f"cool {item} with {state.at}",
            f"slice {item} with knife 1",
            command.upper(),
            f" {command} ",
            command.replace(" ", "  "),
            f"{command} now",
            "",
        ]
    )


def play_both(room, engine, rng: random.Random, steps: int) -> int:
    """Plays at random on both; returns how many of the commands did something."""
    state = SimulatedState(room)
    shown = engine.reset()
    assert shown.feedback == WELCOME + state.restart()
    effective = 0
    for _ in range(steps):
        assert list(shown.admissible) == state.admissible_commands()
        command = noisy_command(state, rng)
        shown = engine.step(command)
        assert (command, shown.feedback, shown.won) == (command, state.do(command), state.won)
        effective += shown.feedback != NOTHING_HAPPENS
    return effective


@pytest.mark.parametrize("seed", range(42))
def test_same_text_as_the_engine(seed):
    room = random_room(seed, TASK_TYPES[seed % 6], ("train", "test")[seed % 2], (5, 11), 16)
    engine = Engine(build_game(room))
    try:
        effective = play_both(room, engine, random.Random(seed), 60)
    finally:
        engine.close()
    assert effective > 30


def test_same_text_as_the_stock_engine():
    """The engine above is a faster player of the same library; this one is TextWorld's own."""
    import textworld
    from alfworld.agents.utils.misc import Demangler
    from textworld.envs.pddl import PddlEnv

    room = random_room(5, HEAT, "train", (5, 6), 12)
    stock = PddlEnv(textworld.EnvInfos(won=True, admissible_commands=True))
    stock.load(build_game(room))
    demangler = Demangler(game_infos=stock._entity_infos)
    for info in stock._entity_infos.values():
        info.name = demangler.demangle_alfred_name(info.id)
    state, rng = SimulatedState(room), random.Random(5)
    shown = stock.reset()
    assert shown.feedback == WELCOME + state.restart()
    for _ in range(25):
        assert shown.admissible_commands == state.admissible_commands()
        command = noisy_command(state, rng)
        shown, _, _ = stock.step(command)
        assert (shown.feedback, shown.won) == (state.do(command), state.won)


@given(st.integers(0, 10**6), st.sampled_from(TASK_TYPES), st.lists(st.text(max_size=40), max_size=10))
@settings(max_examples=100, deadline=None)
def test_any_text_is_survived(seed, task_type, commands):
    state = SimulatedState(random_room(seed, task_type))
    for command in commands:
        if command.strip() not in state.admissible_commands():
            before = repr({name: value for name, value in vars(state).items() if name != "log"})
            assert state.do(command) == NOTHING_HAPPENS
            assert before == repr({name: value for name, value in vars(state).items() if name != "log"})


@given(st.integers(0, 10**6), st.sampled_from(TASK_TYPES))
@settings(max_examples=50, deadline=None)
def test_admissible_means_that_something_happens(seed, task_type):
    state, rng = SimulatedState(random_room(seed, task_type)), random.Random(seed)
    for _ in range(20):
        commands = state.admissible_commands()
        assert all(state.copy().do(command) != NOTHING_HAPPENS for command in commands)
        state.do(rng.choice(commands))


def test_copies_are_independent():
    room = random_room(1, LOOK)
    state = SimulatedState(room)
    item = next(item for item in room.items if item.pickupable and state.accessible(item.place))
    state.do(f"go to {item.place}")
    twin = state.copy()
    twin.do(f"take {item.name} from {item.place}")
    assert (state.holding, twin.holding) == (None, item.name)
    assert item.name in state.contents[item.place] and item.name not in twin.contents[item.place]
    assert len(twin.log) == len(state.log) + 1


def test_restart_forgets_everything():
    state = SimulatedState(random_room(2, HEAT))
    first = state.log[0][1]
    rng = random.Random(0)
    for _ in range(50):
        state.do(noisy_command(state, rng))
    assert state.restart() == first
    fresh = SimulatedState(state.room)
    assert state.admissible_commands() == fresh.admissible_commands()
    assert (state.contents, state.log, state.at) == (fresh.contents, fresh.log, None)


def test_listing():
    assert listing([]) == "nothing"
    assert listing(["cup 1"]) == "a cup 1"
    assert listing(["cup 2", "cup 1"]) == "a cup 2, and a cup 1"
    assert listing(["pan 1", "cup 2", "cup 1"]) == "a pan 1, a cup 2, and a cup 1"
