"""Real floor plans: which receptacles and object classes each of ALFWorld's 120 scenes has.

The data are the files the `alfworld` package carries. They are read where they lie, without importing the package:
importing it makes a cache folder in the user's home and pulls in modules that are not needed here.
"""

from __future__ import annotations

import importlib.util
import json
import random
import runpy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from agentx.tasks.environment import TaskDataError

Split = Literal["train", "test"]
RoomKind = Literal["kitchen", "living room", "bedroom", "bathroom"]

SCENES: dict[RoomKind, range] = {
    "kitchen": range(1, 31),
    "living room": range(201, 231),
    "bedroom": range(301, 331),
    "bathroom": range(401, 431),
}
OFFICIAL_UNSEEN = (10, 219, 308, 424)
"""Scenes of ALFWorld's valid_unseen games, which AgentBench uses: never trained on."""

HELD_OUT_PER_KIND = 6
_SPLIT_SEED = 20231

# The openable.json files give poses only for receptacles an agent can stand before; these classes are named in
# objects.json alone. Four burners to a stove is what the scenes have; of the others one is certain.
_UNPLACED_RECEPTACLES = {
    "CoffeeMachine": 1,
    "GarbageCan": 1,
    "HandTowelHolder": 1,
    "StoveBurner": 4,
    "Toaster": 1,
    "Toilet": 1,
    "ToiletPaperHanger": 1,
    "TowelHolder": 1,
    "LaundryHamper": 1,
}


@dataclass(frozen=True)
class FloorPlan:
    """One scene. `receptacles` are (id, class) pairs in the order of their ids, `objects` sorted class names."""

    number: int
    kind: RoomKind
    receptacles: tuple[tuple[str, str], ...]
    objects: tuple[str, ...]


@dataclass(frozen=True)
class Knowledge:
    """What may lie where and what may be done to what (the package's gen/constants.py)."""

    holds: dict[str, frozenset[str]]
    """receptacle class -> object classes it can contain"""
    cleanable: frozenset[str]
    heatable: frozenset[str]
    coolable: frozenset[str]
    sliceable: frozenset[str]
    toggleable: frozenset[str]
    openable: frozenset[str]
    """receptacle classes with a door or lid"""
    containers: frozenset[str]
    """object classes that count as receptacles themselves (bowl, mug …)"""


def package_file(*parts: str) -> Path:
    """A file of the installed `alfworld` package. Raises TaskDataError when it is not there."""
    spec = importlib.util.find_spec("alfworld")
    if spec is None or not spec.submodule_search_locations:
        raise TaskDataError("the household task needs the package alfworld: pip install 'alfworld>=0.4.2,<0.5'")
    path = Path(spec.submodule_search_locations[0]).joinpath(*parts)
    if not path.is_file():
        raise TaskDataError(f"alfworld lacks its file {path}: pip install --force-reinstall alfworld==0.4.2")
    return path


@cache
def knowledge() -> Knowledge:
    constants: dict[str, Any] = runpy.run_path(str(package_file("gen", "constants.py")))
    actions = constants["VAL_ACTION_OBJECTS"]
    movable = frozenset(constants["MOVABLE_RECEPTACLES"])
    holds = {
        kind: frozenset(name for name in contents if not name.endswith("Sliced"))
        for kind, contents in constants["VAL_RECEPTACLE_OBJECTS"].items()
        if kind not in movable
    }
    return Knowledge(
        holds=holds,
        cleanable=frozenset(actions["Cleanable"]),
        heatable=frozenset(actions["Heatable"]),
        coolable=frozenset(actions["Coolable"]),
        sliceable=frozenset(actions["Sliceable"]),
        toggleable=frozenset(actions["Toggleable"]),
        openable=frozenset(constants["OPENABLE_CLASS_LIST"]),
        containers=movable,
    )


@cache
def floor_plan(number: int) -> FloorPlan:
    """Raises TaskDataError for a number that is no scene."""
    kind = next((kind for kind, scenes in SCENES.items() if number in scenes), None)
    if kind is None:
        raise TaskDataError(f"floor plan {number} does not exist: use 1-30, 201-230, 301-330 or 401-430")
    poses = json.loads(package_file("gen", "layouts", f"FloorPlan{number}-openable.json").read_text())
    classes = set(json.loads(package_file("gen", "layouts", f"FloorPlan{number}-objects.json").read_text()))
    holds = knowledge().holds
    receptacles: dict[str, str] = {}
    for pose_id in poses:
        parts = pose_id.split("|")
        if len(parts) == 5:  # a basin belongs to the fixture named first; one scene calls a bathtub's a sink's
            parts[4] = f"{parts[0]}Basin"
        receptacle_class = parts[4] if len(parts) == 5 else parts[0]
        if receptacle_class in holds:
            receptacles["|".join(parts)] = receptacle_class
    placed = set(receptacles.values())
    for receptacle_class, count in _UNPLACED_RECEPTACLES.items():
        if receptacle_class in classes and receptacle_class not in placed:
            for position in range(count):
                receptacles[f"{receptacle_class}|+00.00|+00.00|+00.{position:02d}"] = receptacle_class
    ordered = sorted(receptacles.items(), key=lambda item: mangle(item[0]))
    return FloorPlan(number, kind, tuple(ordered), tuple(sorted(classes)))


def mangle(entity_id: str) -> str:
    """An id as PDDL spells it; the engine numbers and lists things in the order of these."""
    for plain, spelled in (("-", "_minus_"), ("|", "_bar_"), ("+", "_plus_"), (".", "_dot_"), ("#", "-")):
        entity_id = entity_id.replace(plain, spelled)
    return entity_id.lower()


@cache
def split_scenes(split: Split) -> tuple[int, ...]:
    """Scene numbers of a split: of each room kind six scenes are held out for test, the rest is for training.

    The choice is fixed, not a setting: data made on different machines or days never mix the two.
    """
    if split not in ("train", "test"):
        raise TaskDataError(f"split {split!r} does not exist: use train or test")
    chooser = random.Random(_SPLIT_SEED)
    held_out: list[int] = []
    for scenes in SCENES.values():
        unseen = [number for number in scenes if number in OFFICIAL_UNSEEN]
        others = [number for number in scenes if number not in OFFICIAL_UNSEEN]
        held_out += unseen + chooser.sample(others, HELD_OUT_PER_KIND - len(unseen))
    if split == "test":
        return tuple(sorted(held_out))
    return tuple(number for scenes in SCENES.values() for number in scenes if number not in held_out)


def cut(plan: FloorPlan, count: int, keep: tuple[int, ...], rng: random.Random) -> tuple[tuple[str, str], ...]:
    """`count` receptacles of the plan in the order of their ids: those at the positions `keep`, and a random rest.

    Fewer come back where the plan has fewer; `keep` is honoured even if it is longer than `count`.
    """
    rest = [position for position in range(len(plan.receptacles)) if position not in keep]
    extra = max(0, min(count - len(keep), len(rest)))
    chosen = sorted([*keep, *rng.sample(rest, extra)])
    return tuple(plan.receptacles[position] for position in chosen)
