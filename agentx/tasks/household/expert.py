"""A scripted agent that sees only what a player sees, and narrated play made with it.

`play(room, rng)` is the fast way to episodes for training text: it returns a Transcript of
(observation, thought, action) turns. `HouseholdExpert` is the policy behind it; the ChatModel that speaks for it when
a reasoning method is run is in `agentx.tasks.household.expert_model`.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import Literal

from agentx.tasks.household.layouts import knowledge
from agentx.tasks.household.room import LOOK, Goal, Room
from agentx.tasks.household.simulated_state import NOTHING_HAPPENS, SimulatedState

Order = Literal["listed", "likely", "shuffled"]

VERBS = {"SinkBasin": "clean", "Microwave": "heat", "Fridge": "cool"}
_STATES = {"SinkBasin": "clean", "Microwave": "hot", "Fridge": "cool"}
_NAMED = re.compile(r"\ba ([a-z]+ \d+)")
_SEEN = re.compile(r"(?:On the|The) ([a-z]+ \d+)(?: is open\. In it)?, you see (.*)\.", re.DOTALL)
_CLOSED = re.compile(r"The ([a-z]+ \d+) is closed\.")
_TAKEN = re.compile(r"You pick up the ([a-z]+ \d+) from the ([a-z]+ \d+)\.")
_MOVED = re.compile(r"You move the ([a-z]+ \d+) to the ([a-z]+ \d+)\.")
_CHANGED = re.compile(r"You (heat|clean|cool) the ([a-z]+ \d+) using")
_ARRIVED = re.compile(r"You arrive at ([a-z]+ \d+)\.")
_SHUT = re.compile(r"You close the ([a-z]+ \d+)\.")


@dataclass(frozen=True, slots=True)
class Move:
    """A decision: the thought said aloud (`thought`), a longer one (`reasoning`), and the command."""

    thought: str
    action: str
    reasoning: str


@dataclass(frozen=True, slots=True)
class Turn:
    """`trained` is False for a wrong turn made on purpose: it is shown, but not to be imitated."""

    observation: str
    thought: str
    action: str
    reasoning: str
    trained: bool = True


@dataclass(frozen=True, slots=True)
class Transcript:
    """A finished play; `ending` is the observation after the last action."""

    room: Room
    turns: tuple[Turn, ...]
    ending: str
    won: bool


@dataclass
class HouseholdExpert:
    """Explores, remembers what it saw, and works towards the goal. It knows the goal and the observations only.

    `order` is the order of search: as listed in the first observation, likely places first, or shuffled by `rng`.
    """

    goal: Goal
    order: Order = "listed"
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    task: str = ""
    """the task in words, as the first observation gave it"""
    at: str | None = None
    holding: str | None = None
    plan: list[str] = field(default_factory=list)
    """receptacles in the order of search"""
    contents: dict[str, list[str]] = field(default_factory=dict)
    """what was last seen where"""
    closed: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    """objects that have been cleaned, heated or cooled as the goal asks"""
    delivered: dict[str, str] = field(default_factory=dict)
    """objects of the goal that have been put where they belong, with the place"""
    stumbled: bool = False
    """the last command did nothing"""

    def observe(self, text: str) -> None:
        """Takes in an observation. Text that says nothing known changes nothing."""
        if not self.plan:
            self._survey(text)
            return
        self.stumbled = text == NOTHING_HAPPENS
        if found := _ARRIVED.match(text):
            self.at = found.group(1)
        if found := _SEEN.search(text):
            place = found.group(1)
            self.contents[place] = _NAMED.findall(found.group(2))
            self.closed.discard(place)
        elif found := _CLOSED.search(text):
            self.closed.add(found.group(1))
        elif found := _TAKEN.match(text):
            self.holding, place = found.groups()
            self._forget(place, self.holding)
            self.delivered.pop(self.holding, None)
        elif found := _MOVED.match(text):
            item, place = found.groups()
            self.holding = None
            self.contents.setdefault(place, []).append(item)
            ready = not self.goal.station or item in self.changed
            if ready and _is(item, self.goal.item) and self.goal.target and _is(place, self.goal.target):
                self.delivered[item] = place
        elif found := _CHANGED.match(text):
            verb, item = found.groups()
            wanted = VERBS.get(self.goal.station)
            if verb == wanted:
                self.changed.add(item)
            elif {verb, wanted} == {"heat", "cool"}:
                self.changed.discard(item)
        elif found := _SHUT.match(text):
            self.closed.add(found.group(1))

    def decide(self) -> Move:
        """The next move. Raises RuntimeError before the first observation."""
        if not self.plan:
            raise RuntimeError("the expert has not seen the room: call observe() with the first observation")
        if self.holding and not _is(self.holding, self.goal.item):
            return self._put_aside(self.holding)
        if self.holding is None:
            return self._fetch()
        if self.goal.task_type == LOOK:
            return self._light(self.holding)
        if self.goal.station and self.holding not in self.changed:
            return self._change(self.holding)
        return self._deliver(self.holding)

    def _survey(self, text: str) -> None:
        around, _, task = text.partition("\n")
        self.plan = _NAMED.findall(around)
        self.task = task.partition("Your task is to: ")[2].strip().removesuffix(".")
        if self.order == "shuffled":
            self.rng.shuffle(self.plan)
        elif self.order == "likely":
            holds = knowledge().holds
            homes = {kind.lower() for kind, items in holds.items() if self.goal.item in items}
            self.plan.sort(key=lambda name: name.partition(" ")[0] not in homes)

    def _forget(self, place: str, item: str) -> None:
        if item in self.contents.get(place, ()):
            self.contents[place].remove(item)

    def _fetch(self) -> Move:
        wanted = self.goal.item.lower()
        more = "one more " if self.delivered else ""
        known = self._recall(wanted)
        if known is None:
            return self._search(f"{more}{wanted}", avoid=self.goal.target)
        item, place = known
        if place != self.at:
            return self.narrate(f"I saw {item} at {place}.", f"Next is {place}.", f"go to {place}")
        if place in self.closed:
            return self.narrate("It is closed.", "I open it.", f"open {place}")
        return self.narrate(f"I look for {more}{wanted}: {item}.", "I take it.", f"take {item} from {place}")

    def _recall(self, kind: str) -> tuple[str, str] | None:
        """An object of the class that is still wanted and the place where it was seen, here before elsewhere."""
        places = sorted(self.contents, key=lambda place: place != self.at)
        return next(
            (
                (item, place)
                for place in places
                for item in self.contents[place]
                if _is(item, kind) and item not in self.delivered
            ),
            None,
        )

    def _search(self, wanted: str, avoid: str = "", state: str = "") -> Move:
        """Opens what is closed here, else goes on to the next place not looked into; `avoid` comes last."""
        if self.at is not None and self.at in self.closed and self.at not in self.contents:
            return self.narrate("It is closed.", "I open it.", f"open {self.at}")
        left = [place for place in self.plan if place not in self.contents]
        left.sort(key=lambda place: _is(place, avoid))
        if not left:  # everything was seen: start over, something must have been overlooked or moved
            self.contents = {self.at: self.contents[self.at]} if self.at in self.contents else {}
            left = [place for place in self.plan if place != self.at]
        return self.narrate(f"{state}I look for {wanted}: none.", f"Next is {left[0]}.", f"go to {left[0]}")

    def _change(self, item: str) -> Move:
        station = self._nearest(self.goal.station)
        verb = VERBS[self.goal.station]
        if self.at == station:
            return self.narrate(f"I have {item}.", f"I {verb} it.", f"{verb} {item} with {station}")
        return self.narrate(f"I have {item}. I must {verb} it.", f"Next is {station}.", f"go to {station}")

    def _deliver(self, item: str) -> Move:
        target = next(iter(self.delivered.values()), None) or self._nearest(self.goal.target)
        state = f"{item} is {_STATES[self.goal.station]}." if self.goal.station else f"I have {item}."
        if self.at != target:
            aim = f"{state} It goes to {self.goal.target.lower()}."
            return self.narrate(aim, f"Next is {target}.", f"go to {target}")
        if target in self.closed:
            return self.narrate("It is closed.", "I open it.", f"open {target}")
        return self.narrate(state, f"I put it in {target}.", f"move {item} to {target}")

    def _light(self, item: str) -> Move:
        wanted = self.goal.lamp.lower()
        known = self._recall(wanted)
        if known is None:
            return self._search(wanted, state=f"I have {item}. ")
        lamp, place = known
        if place != self.at:
            return self.narrate(f"I have {item}. I saw {lamp} at {place}.", f"Next is {place}.", f"go to {place}")
        return self.narrate(f"I have {item}. I look for {wanted}: {lamp}.", "I use it.", f"use {lamp}")

    def _put_aside(self, item: str) -> Move:
        """Something else is in the hand: it goes back where it can, so that the hand is free."""
        kinds = {kind.lower(): items for kind, items in knowledge().holds.items()}
        fitting = {kind for kind, items in kinds.items() if item.partition(" ")[0] in {name.lower() for name in items}}
        if self.at is not None and self.at.partition(" ")[0] in fitting and not self.stumbled:
            if self.at in self.closed:
                return self.narrate(f"I have {item}. It is closed.", "I open it.", f"open {self.at}")
            return self.narrate(f"I have {item}.", f"I put it in {self.at}.", f"move {item} to {self.at}")
        places = [place for place in self.plan if place.partition(" ")[0] in fitting and place != self.at]
        place = places[0] if places else self.plan[0]
        return self.narrate(f"I have {item}. I do not need it.", f"Next is {place}.", f"go to {place}")

    def _nearest(self, kind: str) -> str:
        """Here if here is one, else the first listed of the class."""
        names = [place for place in self.plan if _is(place, kind)]
        return self.at if self.at in names and self.at is not None else names[0]

    def narrate(self, finding: str, decision: str, action: str) -> Move:
        """Puts a move into words: where the agent is, what it found or has, what it decides."""
        where = f"I am at {self.at}." if self.at else "I am in the middle of the room."
        if self.stumbled:
            where = f"Nothing happened. {where}"
        thought = f"{where} {finding} {decision}".strip()
        hand = f"I hold {self.holding}." if self.holding else "My hands are empty."
        return Move(thought, action, f"My task is to {self.task}. {hand} {thought}")


def play(
    room: Room,
    rng: random.Random,
    *,
    mistakes: float = 0.08,
    order: Order | None = None,
    max_turns: int = 50,
) -> Transcript:
    """Plays a room on the simulator. In half of the plays each turn is, with probability `mistakes`, a wrong one
    (marked as not to be trained on) from which the expert recovers. `order` is drawn when None."""
    state = SimulatedState(room)
    expert = HouseholdExpert(room.goal, order or rng.choices(("listed", "likely"), (3, 1))[0], rng)
    error_rate = mistakes if rng.random() < 0.5 else 0.0
    observation = state.restart()
    turns: list[Turn] = []
    while not state.won and len(turns) < max_turns:
        expert.observe(observation)
        wrong = rng.random() < error_rate
        move = stray(expert, rng) if wrong else expert.decide()
        turns.append(Turn(observation, move.thought, move.action, move.reasoning, not wrong))
        observation = state.do(move.action)
    return Transcript(room, tuple(turns), observation, state.won)


def stray(expert: HouseholdExpert, rng: random.Random) -> Move:
    """A plausible wrong move from where the expert stands: a detour, an idle look, a thing that is not there."""
    goal, at = expert.goal, expert.at
    choices = [f"go to {place}" for place in rng.sample(expert.plan, min(2, len(expert.plan))) if place != at]
    choices += ["look", "inventory"]
    if at is not None:
        choices.append(f"examine {at}")
        held = expert.holding or f"{goal.item.lower()} 1"
        choices.append(f"move {held} to {at}" if expert.holding else f"take {held} from {at}")
        if expert.contents.get(at) and expert.holding is None and at not in expert.closed:
            choices.append(f"take {rng.choice(expert.contents[at])} from {at}")
        if goal.station:
            choices.append(f"{VERBS[goal.station]} {held} with {at}")
    action = rng.choice(choices)
    return expert.narrate("I try this.", "", action)


def _is(name: str, kind: str) -> bool:
    return name.partition(" ")[0] == kind.lower()
