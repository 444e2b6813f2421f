"""A room in play without the text engine, answering with the engine's very texts.

It makes training data, never scores: those are always taken on the real engine. A test plays both side by side.
"""

from __future__ import annotations

import json
import re
from functools import cache

from agentx.tasks.household.layouts import knowledge, package_file
from agentx.tasks.household.room import LOOK, Item, Room

NOTHING_HAPPENS = "Nothing happens."


@cache
def help_text() -> str:
    """The answer to `help`, read from the package's grammar."""
    grammar = package_file("data", "alfred.twl2").read_text()
    found = re.search(r'"help\.feedback":\s*\[\s*\{\s*"rhs":\s*("(?:[^"\\]|\\.)*")', grammar)
    if found is None:
        raise RuntimeError("the grammar of the installed alfworld has no help text: install alfworld 0.4.2")
    return json.loads(found.group(1)).lstrip()  # the engine's own parser drops leading blanks


def listing(names: list[str]) -> str:
    """The engine's enumeration, e.g. 'a mug 2, a pan 1, and a cup 1'; 'nothing' for an empty list."""
    if not names:
        return "nothing"
    if len(names) == 1:
        return f"a {names[0]}"
    return f"a {', a '.join(names[:-1])}, and a {names[-1]}"


class SimulatedState:
    """The synchronous core: a room in play. `do` runs a command and returns what the engine would print.

    `log` holds (command, text) pairs since the last restart, the introduction first with an empty command.
    simulated = True: nothing measured here may be reported as a score.
    """

    simulated = True

    def __init__(self, room: Room) -> None:
        self.room = room
        self._facts = knowledge()
        self._receptacles = {receptacle.name: receptacle for receptacle in room.receptacles}
        self._items = {item.name: item for item in room.items}
        self._rank = {item.name: rank for rank, item in enumerate(room.items)}
        self.restarts = 0
        self.restart()

    def restart(self) -> str:
        """Back to the initial state; returns the introduction (without the engine's welcome line)."""
        self.restarts += 1
        self.at: str | None = None
        self.holding: str | None = None
        self.opened: set[str] = set()
        self.contents: dict[str, list[str]] = {name: [] for name in self._receptacles}
        for item in self.room.items:
            self.contents[item.place].append(item.name)
        self.clean: set[str] = set()
        self.hot: set[str] = set()
        self.cool: set[str] = set()
        self.sliced: set[str] = set()
        self.toggled: set[str] = set()
        around = listing(list(self._receptacles))
        intro = (
            f"You are in the middle of a room. Looking quickly around you, you see {around}.\n\n"
            f"Your task is to: {self.room.task}."
        )
        self.log: list[tuple[str, str]] = [("", intro)]
        return intro

    def copy(self) -> SimulatedState:
        other = SimulatedState.__new__(SimulatedState)
        other.__dict__.update(self.__dict__)
        other.log = list(self.log)
        other.contents = {name: list(items) for name, items in self.contents.items()}
        for name in ("opened", "clean", "hot", "cool", "sliced", "toggled"):
            setattr(other, name, set(getattr(self, name)))
        return other

    def accessible(self, receptacle: str) -> bool:
        return not self._receptacles[receptacle].openable or receptacle in self.opened

    def place_of(self, item: str) -> str | None:
        """Name of the receptacle an item is in; None when it is held."""
        return next((place for place, items in self.contents.items() if item in items), None)

    def kind_of(self, item: str) -> str:
        """The class of an object by its shown name; raises KeyError for one that is not there."""
        return self._items[item].kind

    def in_state(self, station: str) -> set[str]:
        """Names of the objects in the state that a station (SinkBasin, Microwave, Fridge) gives; others give none."""
        return {"SinkBasin": self.clean, "Microwave": self.hot, "Fridge": self.cool}.get(station, set())

    @property
    def won(self) -> bool:
        goal = self.room.goal
        if goal.task_type == LOOK:
            held = self.holding is not None and self._items[self.holding].kind == goal.item
            here = self.contents[self.at] if self.at else []
            return held and any(name in self.toggled and self._items[name].kind == goal.lamp for name in here)
        changed = self.in_state(goal.station) if goal.station else None
        for receptacle in self.room.receptacles:
            if receptacle.kind == goal.target:
                fitting = [
                    name
                    for name in self.contents[receptacle.name]
                    if self._items[name].kind == goal.item and (changed is None or name in changed)
                ]
                if len(fitting) >= goal.count:
                    return True
        return False

    def do(self, command: str) -> str:
        """Runs a command; one that is not admissible changes nothing and returns 'Nothing happens.'"""
        text = self._run(command.strip().split(" "))
        self.log.append((command, text))
        return text

    def _run(self, words: list[str]) -> str:
        verb = words[0]
        if verb == "go":
            return self._go(words)
        if verb == "take" and len(words) == 6 and words[3] == "from":
            return self._take(f"{words[1]} {words[2]}", f"{words[4]} {words[5]}")
        if verb == "move" and len(words) == 6 and words[3] == "to":
            return self._move(f"{words[1]} {words[2]}", f"{words[4]} {words[5]}")
        if len(words) == 3:
            name = f"{words[1]} {words[2]}"
            if verb == "open":
                return self._open(name)
            if verb == "close":
                return self._close(name)
            if verb == "examine":
                return self._examine(name)
            if verb == "use":
                return self._use(name)
        if len(words) == 6 and words[3] == "with":
            item, tool = f"{words[1]} {words[2]}", f"{words[4]} {words[5]}"
            if verb == "slice":
                return self._slice(item, tool)
            if verb in ("heat", "clean", "cool"):
                return self._change(verb, item, tool)
        if len(words) == 1:
            if verb == "look":
                return self._look()
            if verb == "inventory":
                held = f"a {self.holding}" if self.holding else None
                return f"You are carrying: {held}." if held else "You are not carrying anything."
            if verb == "help":
                return help_text()
        return NOTHING_HAPPENS

    def _describe(self, name: str) -> str:
        if not self._receptacles[name].openable:
            return f"On the {name}, you see {listing(self.contents[name])}."
        if name in self.opened:
            return f"The {name} is open. In it, you see {listing(self.contents[name])}."
        return f"The {name} is closed."

    def _go(self, words: list[str]) -> str:
        name = " ".join(words[2:])
        if len(words) != 4 or words[1] != "to" or name not in self._receptacles or name == self.at:
            return NOTHING_HAPPENS
        self.at = name
        return f"You arrive at {name}. {self._describe(name)}"

    def _look(self) -> str:
        # Standing nowhere in particular the engine lists what is at that empty spot, not the room.
        if self.at is None:
            return "You are in the middle of a room. Looking quickly around you, you see nothing."
        return f"You are facing the {self.at}. Next to it, you see nothing."

    def _open(self, name: str) -> str:
        if name != self.at or self.accessible(name):
            return NOTHING_HAPPENS
        self.opened.add(name)
        return f"You open the {name}. {self._describe(name)}"

    def _close(self, name: str) -> str:
        if name != self.at or name not in self.opened:
            return NOTHING_HAPPENS
        self.opened.remove(name)
        return f"You close the {name}."

    def _take(self, item: str, place: str) -> str:
        if (
            place != self.at
            or self.holding is not None
            or item not in self.contents[place]
            or not self.accessible(place)
            or self._items[item].kind in self._facts.toggleable
        ):
            return NOTHING_HAPPENS
        self.contents[place].remove(item)
        self.holding = item
        return f"You pick up the {item} from the {place}."

    def _move(self, item: str, place: str) -> str:
        if place != self.at or self.holding != item or not self.accessible(place):
            return NOTHING_HAPPENS
        if self._items[item].kind not in self._facts.holds[self._receptacles[place].kind]:
            return NOTHING_HAPPENS
        self.holding = None
        self.contents[place].append(item)
        self.contents[place].sort(key=self._rank.__getitem__)
        return f"You move the {item} to the {place}."

    def _use(self, item: str) -> str:
        if self.at is None or item not in self.contents[self.at]:
            return NOTHING_HAPPENS
        if self._items[item].kind not in self._facts.toggleable:
            return NOTHING_HAPPENS
        self.toggled.add(item)
        return f"You turn on the {item}."

    def _change(self, verb: str, item: str, station: str) -> str:
        if station != self.at or self.holding != item:
            return NOTHING_HAPPENS
        kind, facts = self._items[item].kind, self._facts
        station_kind = self._receptacles[station].kind
        if verb == "heat" and station_kind == "Microwave" and kind in facts.heatable:
            self.hot.add(item)
            self.cool.discard(item)
        elif verb == "cool" and station_kind == "Fridge" and kind in facts.coolable:
            self.cool.add(item)
            self.hot.discard(item)
        elif verb == "clean" and station_kind == "SinkBasin" and kind in facts.cleanable:
            self.clean.add(item)
        else:
            return NOTHING_HAPPENS
        return f"You {verb} the {item} using the {station}."

    def _slice(self, item: str, knife: str) -> str:
        # The engine asks only that the object is at this location: a closed door does not matter to it.
        if self.holding != knife or self._items[knife].kind not in ("Knife", "ButterKnife"):
            return NOTHING_HAPPENS
        if self.at is None or item not in self.contents[self.at]:
            return NOTHING_HAPPENS
        if self._items[item].kind not in self._facts.sliceable:
            return NOTHING_HAPPENS
        self.sliced.add(item)
        return f"You sliced the {item} with the {knife}."

    def _examine(self, name: str) -> str:
        if name == self.at:
            return self._describe(name)
        # The domain means to allow objects in sight too, but a slip in its precondition leaves only the held one.
        return self._describe_item(self._items[name]) if name == self.holding else NOTHING_HAPPENS

    def _describe_item(self, item: Item) -> str:
        name = item.name
        if item.container:
            return f"This is a normal {name}. In it, you see nothing."
        clean, hot, cool = name in self.clean, name in self.hot, name in self.cool
        sliced = "sliced " if name in self.sliced else ""
        if clean and (hot or cool):
            return f"This is a {'hot' if hot else 'cool'} and clean {sliced}{name}."
        if sliced and (clean or hot or cool):
            return f"This is a {'clean' if clean else 'hot' if hot else 'cool'} sliced {name}."
        if hot or clean or cool:
            return f"This is a {'hot' if hot else 'clean' if clean else 'cold'} {name}."
        return f"This is a sliced {name}." if sliced else f"There's nothing special about {name}."

    def admissible_commands(self) -> list[str]:
        """Every command that would do something now, sorted as the engine sorts them."""
        commands = ["help", "inventory", "look"]
        commands += [f"go to {name}" for name in self._receptacles if name != self.at]
        if self.holding:
            commands.append(f"examine {self.holding}")
        if self.at is not None:
            commands += self._commands_here(self.at)
        return sorted(set(commands))

    def _commands_here(self, at: str) -> list[str]:
        facts, held = self._facts, self.holding
        receptacle = self._receptacles[at]
        commands = [f"examine {at}"]
        if receptacle.openable:
            commands.append(f"close {at}" if at in self.opened else f"open {at}")
        if self.accessible(at):
            if held is None:
                commands += [
                    f"take {name} from {at}"
                    for name in self.contents[at]
                    if self._items[name].kind not in facts.toggleable
                ]
            elif self._items[held].kind in facts.holds[receptacle.kind]:
                commands.append(f"move {held} to {at}")
        commands += [f"use {name}" for name in self.contents[at] if self._items[name].kind in facts.toggleable]
        if held is not None:
            kind = self._items[held].kind
            changes = (
                ("heat", "Microwave", facts.heatable),
                ("cool", "Fridge", facts.coolable),
                ("clean", "SinkBasin", facts.cleanable),
            )
            commands += [
                f"{verb} {held} with {at}"
                for verb, station, kinds in changes
                if receptacle.kind == station and kind in kinds
            ]
            if kind in ("Knife", "ButterKnife"):
                commands += [
                    f"slice {name} with {held}"
                    for name in self.contents[at]
                    if self._items[name].kind in facts.sliceable
                ]
        return commands
