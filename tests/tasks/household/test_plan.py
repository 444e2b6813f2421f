from __future__ import annotations

import pytest

from agentx.tasks.household.games import build_game
from agentx.tasks.household.plan import scripted_plan, verify
from agentx.tasks.household.room import COOL, LOOK, TASK_TYPES, TWO, random_room


def test_verify_accepts_the_plan_and_nothing_else():
    room = random_room(0, COOL)
    game, plan = build_game(room), scripted_plan(room)
    assert verify(game, plan)
    assert not verify(game, plan[:-1]), "stops before the goal"
    assert not verify(game, plan[1:]), "its first command is not possible"
    assert not verify(game, [*plan, "look"]), "goes on after the goal"
    assert not verify(game, [])


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_plans_are_short(task_type):
    longest = {TWO: 12, LOOK: 5}.get(task_type, 8)
    for seed in range(50):
        assert len(scripted_plan(random_room(seed, task_type))) <= longest
