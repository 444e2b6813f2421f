"""Game files: a room written as the PDDL problem and grammar that the TextWorld engine plays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from agentx.tasks.environment import TaskDataError
from agentx.tasks.household.layouts import Split, knowledge, mangle, package_file
from agentx.tasks.household.plan import scripted_plan, verify
from agentx.tasks.household.room import TASK_TYPES, Item, Receptacle, Room, goal_library, random_room

Game = dict[str, Any]

# The domain names these types whether or not a room has such a thing.
_RECEPTACLE_TYPES = ("SinkBasin", "Microwave", "Fridge")
_OBJECT_TYPES = ("Knife", "ButterKnife")


@cache
def domain_and_grammar() -> tuple[str, str]:
    """The package's pair. The two belong together: a domain of one ALFWorld version does not run with another's."""
    return package_file("data", "alfred.pddl").read_text(), package_file("data", "alfred.twl2").read_text()


def build_game(room: Room, walkthrough: Sequence[str] | None = None) -> Game:
    """The contents of a `game.tw-pddl` file for a room.

    Every receptacle has a location of its own, unlike in some official scenes. `solvable` says that a walkthrough
    was given; whoever gives one has replayed it (see `agentx.tasks.household.plan.verify`).
    """
    domain, grammar = domain_and_grammar()
    return {
        "pddl_domain": domain,
        "grammar": grammar.replace("UNKNOWN GOAL", room.task),
        "pddl_problem": _problem(room),
        "solvable": walkthrough is not None,
        "walkthrough": list(walkthrough) if walkthrough is not None else None,
    }


def item_ids(items: Sequence[Item]) -> dict[str, str]:
    """PDDL ids by shown name. The engine numbers a class downwards over its sorted ids, so the highest number gets
    the first id."""
    counts: dict[str, int] = {}
    for item in items:
        counts[item.kind] = counts.get(item.kind, 0) + 1
    return {item.name: mangle(f"{item.kind}|+00.00|+00.00|+00.{counts[item.kind] - item.number:03d}") for item in items}


def _location(receptacle: Receptacle) -> str:
    return f"loc_bar_{mangle(receptacle.id)}"


def _problem(room: Room) -> str:
    facts = knowledge()
    receptacle_kinds = sorted({receptacle.kind for receptacle in room.receptacles} | set(_RECEPTACLE_TYPES))
    item_kinds = sorted({item.kind for item in room.items} | set(_OBJECT_TYPES))
    ids = item_ids(room.items)
    location_of = {receptacle.name: _location(receptacle) for receptacle in room.receptacles}
    id_of = {receptacle.name: mangle(receptacle.id) for receptacle in room.receptacles}

    objects = ["agent1 - agent", "loc_bar_middle - location"]
    objects += [f"{location} - location" for location in location_of.values()]
    objects += [f"{entity_id} - receptacle" for entity_id in id_of.values()]
    objects += [f"{entity_id} - object" for entity_id in ids.values()]
    objects += [f"{kind}Type - rtype" for kind in receptacle_kinds]
    objects += [f"{kind}Type - otype" for kind in item_kinds]

    init = ["(= (total-cost) 0)", "(atLocation agent1 loc_bar_middle)"]
    for receptacle in room.receptacles:
        entity_id = id_of[receptacle.name]
        init.append(f"(receptacleType {entity_id} {receptacle.kind}Type)")
        init.append(f"(receptacleAtLocation {entity_id} {location_of[receptacle.name]})")
        if receptacle.openable:
            init.append(f"(openable {entity_id})")
    for item in room.items:
        entity_id = ids[item.name]
        init.append(f"(objectType {entity_id} {item.kind}Type)")
        init.append(f"(inReceptacle {entity_id} {id_of[item.place]})")
        init.append(f"(objectAtLocation {entity_id} {location_of[item.place]})")
        properties = {
            "pickupable": item.pickupable,
            "toggleable": item.toggleable,
            "cleanable": item.cleanable,
            "heatable": item.heatable,
            "coolable": item.coolable,
            "sliceable": item.sliceable,
            "isReceptacleObject": item.container,
        }
        init += [f"({name} {entity_id})" for name, holds in properties.items() if holds]
    init += [
        f"(canContain {receptacle_kind}Type {item_kind}Type)"
        for receptacle_kind in receptacle_kinds
        for item_kind in item_kinds
        if item_kind in facts.holds.get(receptacle_kind, ())
    ]
    goal = goal_library()[room.task_type]["pddl"].format(
        obj=room.goal.item, recep=room.goal.target, toggle=room.goal.lamp
    )
    # The library's formulas write '-' as '#' and close the problem's own parenthesis at their end.
    indent = "\n        "
    return (
        f"(define (problem household_{room.split}_{room.floor_plan}_{room.seed})\n    (:domain alfred)\n"
        f"    (:objects{indent}{indent.join(objects)}\n    )\n"
        f"    (:init{indent}{indent.join(init)}\n    )\n"
        f"{goal.replace('#', '-').rstrip().removesuffix(')')}\n    (:metric minimize (total-cost))\n)\n"
    )


def generate_games(
    split: Split,
    count: int,
    seed: int,
    task_types: Sequence[str] = TASK_TYPES,
    receptacles: tuple[int, int] = (6, 12),
    objects: int = 10,
) -> Iterator[tuple[str, Room, Game]]:
    """`count` verified games, the task types taking turns; the same arguments give the same games.

    Yields (id, room, game). Raises TaskDataError on bad arguments, and when a game cannot be won by its plan, which
    would be a defect of the generator.
    """
    if count < 0 or not task_types:
        raise TaskDataError(f"count={count}, task_types={list(task_types)}: need count >= 0 and at least one task type")
    for index in range(count):
        task_type = task_types[index % len(task_types)]
        room = random_room(seed * 1_000_003 + index, task_type, split, receptacles, objects)
        plan = scripted_plan(room)
        game = build_game(room, plan)
        name = f"{split}-{seed}-{index:05d}-{task_type}-{room.floor_plan}"
        if not verify(game, plan):
            raise TaskDataError(f"generated game {name} is not won by its plan {plan}: please report this")
        yield name, room, game
