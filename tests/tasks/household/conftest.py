from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from agentx.tasks.household.games import build_game
from agentx.tasks.household.plan import scripted_plan
from agentx.tasks.household.room import TASK_TYPES, random_room

MakeGame = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def make_game() -> MakeGame:
    """A generated game, with its plan as walkthrough; the seed also picks the task type."""

    def make(seed: int, receptacles: tuple[int, int] = (5, 8), objects: int = 8) -> dict[str, Any]:
        room = random_room(seed, TASK_TYPES[seed % len(TASK_TYPES)], "train", receptacles, objects)
        return build_game(room, scripted_plan(room))

    return make


@pytest.fixture(scope="session")
def stock_player(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """TextWorld's own player with ALFWorld's names. One for all games: unloading its C library next to other copies
    crashes when the process ends."""
    os.environ.setdefault("ALFWORLD_DATA", str(tmp_path_factory.mktemp("alfworld")))
    from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
    from textworld.core import EnvInfos
    from textworld.envs import PddlEnv

    return AlfredDemangler(PddlEnv(EnvInfos(won=True, admissible_commands=True, feedback=True)))


@pytest.fixture(scope="session")
def classic_grammar() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The same game as ALFWorld 0.3 had it: the three changes of 0.4 undone in grammar and domain."""

    def undo(game: dict[str, Any]) -> dict[str, Any]:
        grammar = (
            game["grammar"]
            .replace("You arrive at {r.name}.", "You arrive at {lend.name}.")
            .replace("move {o} to {r}", "put {o} in/on {r}")
            .replace("You move the {o.name} to the {r.name}.", "You put the {o.name} in/on the {r.name}.")
        )
        grammar = grammar[: grammar.index("action help {")]
        domain = game["pddl_domain"]
        domain = domain[: domain.index("(:action help")].rstrip() + "\n)\n"
        return {**game, "grammar": grammar, "pddl_domain": domain}

    return undo
