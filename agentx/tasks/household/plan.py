"""Solutions written from a room's initial facts, and the proof that they work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentx.tasks.household.expert import VERBS
from agentx.tasks.household.room import LOOK, Room


def scripted_plan(room: Room) -> list[str]:
    """Commands that reach the goal, without search. It knows everything, which no agent does.

    Raises StopIteration on a room that lacks what its goal names (`random_room` makes none).
    """
    goal = room.goal
    openable = {receptacle.name for receptacle in room.receptacles if receptacle.openable}
    first_of: dict[str, str] = {}
    for receptacle in room.receptacles:
        first_of.setdefault(receptacle.kind, receptacle.name)
    commands: list[str] = []
    opened: set[str] = set()
    at = ""

    def visit(place: str, *, inside: bool) -> None:
        nonlocal at
        if place != at:
            commands.append(f"go to {place}")
            at = place
        if inside and place in openable and place not in opened:
            commands.append(f"open {place}")
            opened.add(place)

    wanted = [item for item in room.items if item.kind == goal.item]
    for item in wanted[: goal.count]:
        visit(item.place, inside=True)
        commands.append(f"take {item.name} from {item.place}")
        if goal.task_type == LOOK:
            lamp = next(lamp for lamp in room.items if lamp.kind == goal.lamp)
            visit(lamp.place, inside=False)
            commands.append(f"use {lamp.name}")
            break
        if goal.station:
            station = first_of[goal.station]
            visit(station, inside=False)
            commands.append(f"{VERBS[goal.station]} {item.name} with {station}")
        target = first_of[goal.target]
        visit(target, inside=True)
        commands.append(f"move {item.name} to {target}")
    return commands


def verify(game: Mapping[str, Any], plan: Sequence[str]) -> bool:
    """Whether the plan can be played on the real engine and wins with its last command, not before.

    Raises TaskDataError when the engine cannot load the game.
    """
    from agentx.tasks.household.engine import Engine  # textworld takes a second to import; planning needs none of it

    engine = Engine(game)
    try:
        state = engine.reset()
        for command in plan:
            if state.won or command not in state.admissible:
                return False
            state = engine.step(command)
        return state.won
    finally:
        engine.close()
