"""Rooms: a household problem as plain data, and a generator of solvable ones on real floor plans."""

from __future__ import annotations

import random
import runpy
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from agentx.tasks.environment import TaskDataError
from agentx.tasks.household.layouts import (
    FloorPlan,
    RoomKind,
    Split,
    cut,
    floor_plan,
    knowledge,
    package_file,
    split_scenes,
)
from agentx.tasks.household.settings import TASK_TYPES

PICK = "pick_and_place_simple"
LOOK = "look_at_obj_in_light"
CLEAN = "pick_clean_then_place_in_recep"
HEAT = "pick_heat_then_place_in_recep"
COOL = "pick_cool_then_place_in_recep"
TWO = "pick_two_obj_and_place"

# Which room kinds a task type occurs in follows the package's GOALS_VALID.
_ROOM_KINDS: dict[str, tuple[RoomKind, ...]] = {
    PICK: ("kitchen", "living room", "bedroom", "bathroom"),
    TWO: ("kitchen", "living room", "bedroom", "bathroom"),
    LOOK: ("living room", "bedroom"),
    CLEAN: ("kitchen", "bathroom"),
    HEAT: ("kitchen",),
    COOL: ("kitchen",),
}
STATIONS = {CLEAN: "SinkBasin", HEAT: "Microwave", COOL: "Fridge"}
"""task type -> class of the receptacle that changes the object's state"""
_LAMPS = ("DeskLamp", "FloorLamp")
_LAMP_PLACES = ("Desk", "SideTable", "Dresser", "CoffeeTable", "DiningTable", "Shelf", "CounterTop", "TVStand")
_MAX_TRIES = 100


@dataclass(frozen=True, slots=True)
class Receptacle:
    """`id` is the scene's, `name` what the engine shows: class and number, as in 'cabinet 3'."""

    id: str
    kind: str
    name: str
    openable: bool


@dataclass(frozen=True, slots=True)
class Item:
    """A movable object or a lamp; `place` is the name of the receptacle it starts in or on."""

    kind: str
    name: str
    place: str

    @property
    def number(self) -> int:
        return int(self.name.rpartition(" ")[2])

    @property
    def pickupable(self) -> bool:
        return self.kind not in knowledge().toggleable

    @property
    def toggleable(self) -> bool:
        return self.kind in knowledge().toggleable

    @property
    def cleanable(self) -> bool:
        return self.kind in knowledge().cleanable

    @property
    def heatable(self) -> bool:
        return self.kind in knowledge().heatable

    @property
    def coolable(self) -> bool:
        return self.kind in knowledge().coolable

    @property
    def sliceable(self) -> bool:
        return self.kind in knowledge().sliceable

    @property
    def container(self) -> bool:
        return self.kind in knowledge().containers


@dataclass(frozen=True, slots=True)
class Goal:
    """What has to hold: `count` objects of class `item`, in the task type's state, in one receptacle of class
    `target`; for look_at_obj_in_light the object held where a lamp of class `lamp` has been switched on."""

    task_type: str
    item: str
    target: str = ""
    lamp: str = ""

    @property
    def count(self) -> int:
        return 2 if self.task_type == TWO else 1

    @property
    def station(self) -> str:
        """Class of the receptacle that cleans, heats or cools; '' where no state is asked for."""
        return STATIONS.get(self.task_type, "")


@dataclass(frozen=True, slots=True)
class Room:
    """One household problem. Receptacles and items are in the engine's listing order."""

    seed: int
    split: str
    floor_plan: int
    goal: Goal
    task: str
    """the task in words, e.g. 'put a clean mug in cabinet'"""
    receptacles: tuple[Receptacle, ...]
    items: tuple[Item, ...]

    @property
    def task_type(self) -> str:
        return self.goal.task_type


@cache
def goal_library() -> Mapping[str, Mapping[str, Any]]:
    """The package's goal formulas (`pddl`) and task templates (`templates`) by task type."""
    return runpy.run_path(str(package_file("gen", "goal_library.py")))["gdict"]


@cache
def _goals(number: int, task_type: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(object class, target classes or lamp classes) pairs the scene allows."""
    plan = floor_plan(number)
    facts = knowledge()
    kinds = {kind for _, kind in plan.receptacles}
    station = STATIONS.get(task_type)
    if station is not None and station not in kinds:
        return ()
    changeable = {CLEAN: facts.cleanable, HEAT: facts.heatable, COOL: facts.coolable}.get(task_type)
    lamps = tuple(lamp for lamp in _LAMPS if lamp in plan.objects) if kinds.intersection(_LAMP_PLACES) else ()
    goals = []
    for item in plan.objects:
        homes = {kind for kind in kinds if item in facts.holds[kind]}
        if not homes or (changeable is not None and item not in changeable):
            continue
        if task_type == LOOK:
            options = lamps
        else:
            options = tuple(kind for kind in sorted(homes) if kind != station and homes - {kind})
        if options:
            goals.append((item, options))
    return tuple(goals)


@cache
def scenes_for(task_type: str, split: Split) -> tuple[int, ...]:
    """Scenes of the split where the task type can be set. Raises TaskDataError on an unknown task type."""
    if task_type not in TASK_TYPES:
        raise TaskDataError(f"task type {task_type!r} does not exist: use one of {', '.join(TASK_TYPES)}")
    return tuple(
        number
        for number in split_scenes(split)
        if floor_plan(number).kind in _ROOM_KINDS[task_type] and _goals(number, task_type)
    )


def random_room(
    seed: int, task_type: str, split: Split = "train", receptacles: tuple[int, int] = (6, 12), objects: int = 10
) -> Room:
    """A solvable room that is not solved yet, the same for the same arguments.

    `receptacles` bounds how many of the scene's receptacles stay (small scenes have fewer than asked for, and what
    the goal needs is always kept); `objects` is how many objects lie about, those of the goal included.
    Raises TaskDataError on an unknown task type or split, or bounds that no room can meet.
    """
    low, high = receptacles
    if not 1 <= low <= high:
        raise TaskDataError(f"receptacles={low},{high}: give two numbers with 1 <= low <= high")
    if objects < 4:
        raise TaskDataError(f"objects={objects}: at least 4 are needed (two of the goal's class, a lamp, another)")
    rng = random.Random(f"{seed}/{task_type}/{split}")
    scenes = scenes_for(task_type, split)
    for _ in range(_MAX_TRIES):
        plan = floor_plan(rng.choice(scenes))
        item, options = rng.choice(_goals(plan.number, task_type))
        option = rng.choice(options)
        goal = Goal(task_type, item, lamp=option) if task_type == LOOK else Goal(task_type, item, target=option)
        kept = _needed(plan, goal, rng)
        count = rng.randint(low, high)
        if kept is not None and len(kept) <= count:
            return _furnish(seed, split, plan, goal, cut(plan, count, kept, rng), objects, rng)
    raise TaskDataError(f"receptacles={low},{high} leaves no room for {task_type}: allow at least 4")


@cache
def _homes(number: int) -> tuple[tuple[str, frozenset[str]], ...]:
    """Object classes of the scene with the receptacle classes of the scene that can contain them."""
    plan = floor_plan(number)
    holds = knowledge().holds
    kinds = sorted({kind for _, kind in plan.receptacles})
    pairs = ((item, frozenset(kind for kind in kinds if item in holds[kind])) for item in plan.objects)
    return tuple((item, homes) for item, homes in pairs if homes)


def _needed(plan: FloorPlan, goal: Goal, rng: random.Random) -> tuple[int, ...] | None:
    """Positions of one start place, one target, the station and a lamp's place, as far as the goal asks for them."""
    by_kind: dict[str, list[int]] = {}
    for position, (_, kind) in enumerate(plan.receptacles):
        by_kind.setdefault(kind, []).append(position)
    holds = knowledge().holds
    homes = [
        position
        for position, (_, kind) in enumerate(plan.receptacles)
        if goal.item in holds[kind] and kind != goal.target
    ]
    kept = {rng.choice(homes)}
    if goal.target:
        kept.add(rng.choice(by_kind[goal.target]))
    if goal.station:
        kept.add(rng.choice(by_kind[goal.station]))
    if goal.lamp:
        places = [position for kind in _LAMP_PLACES for position in by_kind.get(kind, ())]
        if not places:
            return None
        kept.add(rng.choice(places))
    return tuple(sorted(kept))


def _furnish(
    seed: int,
    split: str,
    plan: FloorPlan,
    goal: Goal,
    chosen: tuple[tuple[str, str], ...],
    objects: int,
    rng: random.Random,
) -> Room:
    facts = knowledge()
    names = numbered([kind for _, kind in chosen])
    fixtures = tuple(
        Receptacle(entity_id, kind, name, kind in facts.openable)
        for (entity_id, kind), name in zip(chosen, names, strict=True)
    )
    placed: list[tuple[str, str]] = []
    starts = [
        fixture.name for fixture in fixtures if goal.item in facts.holds[fixture.kind] and fixture.kind != goal.target
    ]
    copies = goal.count + (rng.random() < 0.35)
    placed += [(goal.item, rng.choice(starts)) for _ in range(copies)]
    if goal.lamp:
        places = [fixture.name for fixture in fixtures if fixture.kind in _LAMP_PLACES]
        placed.append((goal.lamp, rng.choice(places)))
    fixture_kinds = {fixture.kind for fixture in fixtures}
    others = [kind for kind, homes in _homes(plan.number) if kind != goal.item and homes & fixture_kinds]
    while others and len(placed) < objects:
        kind = rng.choice(others)
        placed.append((kind, rng.choice([fixture.name for fixture in fixtures if kind in facts.holds[fixture.kind]])))

    placed.sort(key=lambda item: f"{item[0].lower()}_")  # '_' follows the class in a PDDL id; the sort is stable
    items = tuple(
        Item(kind, name, place)
        for (kind, place), name in zip(placed, numbered([kind for kind, _ in placed]), strict=True)
    )
    template = rng.choice(goal_library()[goal.task_type]["templates"])
    task = template.format(obj=goal.item.lower(), recep=goal.target.lower(), toggle=goal.lamp.lower())
    return Room(seed, split, plan.number, goal, task, fixtures, items)


def numbered(kinds: list[str]) -> list[str]:
    """Shown names for classes in the order of their ids: within a class the numbers fall, as the engine gives them."""
    left = Counter(kinds)
    names = []
    for kind in kinds:
        names.append(f"{kind.lower()} {left[kind]}")
        left[kind] -= 1
    return names
