"""Household problems: rooms described; the question generator's reply read and checked against its room."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import Any

from agentx.construction import wording
from agentx.tasks.household.layouts import knowledge
from agentx.tasks.household.plan import scripted_plan
from agentx.tasks.household.room import LOOK, Goal, Room, goal_library, random_room
from agentx.tasks.household.settings import Settings
from agentx.tasks.household.simulated_state import SimulatedState

_LINE = re.compile(r"^([A-Z]+):[ \t]*(.*?)[ \t]*$")
_SENTENCE = re.compile(r"[A-Za-z][A-Za-z0-9 ,.;:'’!?()/-]{7,199}")
SEED_OFFSET = 10_007
"""keeps these rooms apart from those of the expert demonstrations and of pretraining, whatever their seeds"""


class BadReply(Exception):
    """A reply that cannot be used; the message tells the role what is wrong with it."""


class ImpossibleProblem(BadReply):
    """The reply has the right form, but the room cannot hold its problem."""


def room_for(settings: Settings, seed: int, index: int) -> Room:
    """Room `index`: a training floor plan with its places and things, and a goal that it certainly allows. The task
    types come in turn."""
    task_type = settings.task_types[index % len(settings.task_types)]
    return random_room(
        (seed + SEED_OFFSET) * 15_485_863 + index, task_type, "train", settings.receptacles, settings.objects
    )


def described(room: Room) -> str:
    """Every place with what is in or on it, a line each."""
    lines = []
    for receptacle in room.receptacles:
        things = ", ".join(item.name for item in room.items if item.place == receptacle.name) or "nothing"
        lines.append(f"- {receptacle.name}{' (closed)' if receptacle.openable else ''}: {things}")
    return "\n".join(lines)


def question_prompt(room: Room) -> str:
    kind = "lamp" if room.task_type == LOOK else "target"
    instruction = wording.text(
        wording.QUESTION,
        "instruction",
        kind=room.task_type,
        meaning=wording.text(wording.QUESTION, "meanings", room.task_type),
        second=wording.text(wording.QUESTION, "second", kind),
    )
    return f"{instruction}\n\n{wording.text(wording.QUESTION, 'room', room=described(room))}"


def read_problem(reply: str, room: Room) -> dict[str, Any]:
    """The problem that a question generator's reply sets: item, target or lamp as classes, and the sentence.

    Raises BadReply where the form is wrong and ImpossibleProblem where the room does not allow it.
    """
    wanted = ("OBJECT", "LAMP" if room.task_type == LOOK else "TARGET", "PROBLEM")
    found: dict[str, str] = {}
    for line in reply.strip().splitlines():
        if not line.strip():
            continue
        match = _LINE.match(line)
        if match is None or match.group(1) not in wanted or match.group(1) in found:
            raise BadReply(f"there must be one line each of {', '.join(f'{name}:' for name in wanted)}, and no other")
        found[match.group(1)] = match.group(2)
    missing = [name for name in wanted if not found.get(name)]
    if missing:
        raise BadReply(f"the line {missing[0]}: is missing or empty")
    sentence = found["PROBLEM"]
    if not _SENTENCE.fullmatch(sentence):
        raise BadReply("the problem must be one plain sentence of 8 to 200 letters, digits and common marks")
    item = _class_of(found["OBJECT"], [thing.kind for thing in room.items], "thing")
    if room.task_type == LOOK:
        goal = Goal(LOOK, item, lamp=_class_of(found["LAMP"], [thing.kind for thing in room.items], "lamp"))
    else:
        goal = Goal(room.task_type, item, _class_of(found["TARGET"], [r.kind for r in room.receptacles], "place"))
    problem = {"item": goal.item, "target": goal.target, "lamp": goal.lamp, "sentence": sentence.rstrip(".")}
    _check(problem, room)
    return problem


def with_problem(room: Room, problem: dict[str, Any]) -> Room:
    """The room with the problem's goal. Its task is in the engine's own words: a model's words never get into a game's
    grammar."""
    goal = Goal(room.task_type, problem["item"], problem["target"], problem["lamp"])
    template = goal_library()[goal.task_type]["templates"][0]
    words = template.format(obj=goal.item.lower(), recep=goal.target.lower(), toggle=goal.lamp.lower())
    return replace(room, goal=goal, task=words)


def worded(introduction: str, room: Room, problem: dict[str, Any]) -> str:
    """The engine's introduction with the problem in the question generator's words."""
    return introduction.replace(f"Your task is to: {room.task}.", f"Your task is to: {problem['sentence']}.")


def environment_prompt(room: Room, problem: dict[str, Any], hints: bool) -> str:
    goal = room.goal
    return wording.text(
        wording.ENVIRONMENT,
        "instruction",
        room=described(room).replace("\n", "\n  "),
        problem=problem["sentence"],
        goal=wording.text(
            wording.ENVIRONMENT,
            "goals",
            goal.task_type,
            item=goal.item.lower(),
            target=goal.target.lower(),
            lamp=goal.lamp.lower(),
        ),
        hint=wording.text(wording.ENVIRONMENT, "hint") if hints else "",
    )


def sentence_for(room: Room, rng: random.Random) -> str:
    """A problem sentence for the room's own goal, in one of several wordings."""
    from agentx.construction.paraphrase import phrase

    goal = room.goal
    return phrase(
        f"problem/{goal.task_type}",
        rng,
        item=goal.item.lower(),
        target=goal.target.lower(),
        lamp=goal.lamp.lower(),
    )


def _class_of(name: str, kinds: list[str], what: str) -> str:
    words = name.strip().rstrip(".").casefold().replace(" ", "")
    words = re.sub(r"\d+$", "", words)
    for kind in kinds:
        if kind.casefold() == words:
            return kind
    raise ImpossibleProblem(f"there is no {what} {name!r} in the room")


def _check(problem: dict[str, Any], room: Room) -> None:
    """Raises ImpossibleProblem unless the room does not fulfil the problem yet and a plan with full knowledge does."""
    goal = Goal(room.task_type, problem["item"], problem["target"], problem["lamp"])
    item, things = goal.item.lower(), [thing for thing in room.items if thing.kind == goal.item]
    if not things[0].pickupable:
        raise ImpossibleProblem(f"a {item} cannot be carried")
    if len(things) < goal.count:
        raise ImpossibleProblem(f"there must be {goal.count} of {item} in the room")
    if goal.target and goal.item not in knowledge().holds.get(goal.target, ()):
        raise ImpossibleProblem(f"a {item} does not go into or onto a {goal.target.lower()}")
    if goal.station and not any(receptacle.kind == goal.station for receptacle in room.receptacles):
        raise ImpossibleProblem(f"there is no {goal.station.lower()} in the room")
    posed = with_problem(room, problem)
    state = SimulatedState(posed)
    if state.won:
        raise ImpossibleProblem("the problem is solved before anything is done")
    for command in scripted_plan(posed):
        state.do(command)
    if not state.won:
        raise ImpossibleProblem(f"a {item} cannot be brought into the state that the problem asks for in this room")
