"""The household expert as a chat model: it acts, plans and judges while a real reasoning method runs.

What it says becomes training text, so that the text a model is tuned on is the text it will be sent, byte for byte.
As policy it decides from the observations alone; as judge it looks at the simulator's true state.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from agentx.conversation import Message
from agentx.models.chat import Request
from agentx.tasks.demonstration import ScriptedModel
from agentx.tasks.household.expert import VERBS, HouseholdExpert, Move, Order, stray
from agentx.tasks.household.room import LOOK, TWO, Goal
from agentx.tasks.household.settings import Text
from agentx.tasks.household.simulated_state import SimulatedState
from agentx.tasks.household.text_versions import command_in
from agentx.tasks.replies import reply
from agentx.trajectory import Purpose

Style = Literal["io", "cot", "react"]

_NUMBERED = re.compile(r"^\s*(\d+)[.)]\s+(.+?)\s*$", re.MULTILINE)
_ORDERS: tuple[Order, ...] = ("listed", "likely", "shuffled")


@dataclass(frozen=True)
class Subtask:
    """One line of a plan and the test for its being done."""

    text: str
    done: Callable[[SimulatedState], bool]


def subtasks(goal: Goal, most: int) -> list[Subtask]:
    """The plan for a goal in plain words, at most `most` lines: what does not fit is joined to the last one."""
    item, target = goal.item.lower(), goal.target.lower()

    def won(state: SimulatedState) -> bool:
        return state.won

    def taken(state: SimulatedState) -> bool:
        return progress(state) > 0

    def changed(state: SimulatedState) -> bool:
        return bool(_changed(state))

    if goal.task_type == TWO:
        lines = [
            Subtask(f"find one {item} and put it in the {target}", lambda state: _delivered(state) > 0),
            Subtask(f"find one more {item} and put it in the {target}", won),
        ]
    elif goal.task_type == LOOK:
        lines = [Subtask(f"find one {item} and take it", taken), Subtask(f"use the {goal.lamp.lower()}", won)]
    else:
        lines = [Subtask(f"find one {item} and take it", taken), Subtask(f"put the {item} in the {target}", won)]
        if goal.station:
            verb = VERBS[goal.station]
            lines.insert(1, Subtask(f"{verb} the {item} with the {goal.station.lower()}", changed))
    if len(lines) > most:
        rest = lines[most - 1 :]
        lines[most - 1 :] = [Subtask(" and then ".join(line.text for line in rest), rest[-1].done)]
    return lines


def progress(state: SimulatedState) -> float:
    """How much of the goal is reached in the true state, in [0, 1]; 1 exactly when it is won."""
    goal = state.room.goal
    if state.won:
        return 1.0
    held = state.holding is not None and state.kind_of(state.holding) == goal.item
    if goal.task_type == TWO:
        return (2 * min(_delivered(state), 1) + held) / 4
    if goal.station:
        return max(1 / 3 if held else 0.0, 2 / 3 if _changed(state) else 0.0)
    return 0.5 if held else 0.0


def _changed(state: SimulatedState) -> set[str]:
    goal = state.room.goal
    return {name for name in state.in_state(goal.station) if state.kind_of(name) == goal.item}


def _delivered(state: SimulatedState) -> int:
    """Most objects of the goal's class in one receptacle of the goal's class."""
    goal = state.room.goal
    return max(
        sum(state.kind_of(name) == goal.item for name in state.contents[receptacle.name])
        for receptacle in state.room.receptacles
        if receptacle.kind == goal.target
    )


class ExpertModel(ScriptedModel):
    """A ChatModel for one episode on one simulated room; implements `agentx.models.chat.ChatModel`.

    `style` is io, cot or react, `text` the version its commands are worded in (`task.text`). Deviations from the
    expert's way are seeded and recorded in `strayed` as (path, step, branch), for the recorder not to train on them:
    with probability `mistakes` a reply is a wrong turn; on the first `weak_paths` paths most are, so that there is
    something to come back from. Of the replies after the first to one prompt (request.branch > 0) about half differ,
    so that there is something to choose from; at a share `contested` of the steps the first is the wrong one and the
    others are right, since a judge that is shown nothing else would learn to answer 1. For use with branching only.
    Tree search is not served: its states are not the simulator's current one.
    """

    simulated = True

    def __init__(
        self,
        state: SimulatedState,
        style: Style,
        *,
        seed: int = 0,
        mistakes: float = 0.0,
        weak_paths: int = 0,
        contested: float = 0.0,
        max_subtasks: int = 3,
        text: Text = "current",
    ) -> None:
        if style not in ("io", "cot", "react"):
            raise ValueError(f"style {style!r} is not one of io, cot, react")
        super().__init__("household-expert")
        self._state = state
        self._style = style
        self._text: Text = text
        self._seed = seed
        self._mistakes = mistakes
        self._weak_paths = weak_paths
        self._contested = contested
        self._plan = subtasks(state.room.goal, max_subtasks)
        self._expert = HouseholdExpert(state.room.goal)
        self._heard = 0
        self._restarts = -1
        self._ended: dict[int, tuple[int, float]] = {}

    def reply(self, messages: Sequence[Message], request: Request) -> str:
        if request.purpose is Purpose.ACT:
            return self._say(self._act(request))
        if request.purpose is Purpose.PLAN:
            return "\n".join(f"{number}. {subtask.text}" for number, subtask in enumerate(self._plan, 1))
        if request.purpose is Purpose.PICK:
            return str(self._pick(messages[-1].content, request.path))
        if request.purpose is Purpose.SCORE:
            # Marks are asked for when all paths have ended, and the state is the last one's by then.
            restarts, mark = self._ended.get(request.path, (self._state.restarts, 0.0))
            return str(round(10 * (progress(self._state) if restarts == self._state.restarts else mark)))
        if request.purpose is Purpose.SUBTASK_DONE:
            return "Yes" if self._subtask_done(messages[-1].content) else "No"
        self._ended[request.path] = (self._state.restarts, progress(self._state))
        return "Yes" if self._state.won else "No"

    def _say(self, move: Move) -> str:
        return reply(self._style, move.thought, move.reasoning, command_in(self._text, move.action))

    def _act(self, request: Request) -> Move:
        expert = self._caught_up(request.path)
        rng = random.Random(request.seed)
        astray = 0.7 if request.path < self._weak_paths else self._mistakes
        step = random.Random(f"{self._seed}/{request.path}/{request.step}")
        if step.random() < self._contested:
            wrong = request.branch == 0
        else:
            wrong = rng.random() < (0.5 if request.branch else astray)
        if wrong:
            self.strayed.add((request.path, request.step, request.branch))
            return stray(expert, rng)
        return expert.decide()

    def _caught_up(self, path: int) -> HouseholdExpert:
        """The expert, having seen everything that was shown since the last restart. Later paths search in another
        order: following the first one again is what backtracking is to avoid."""
        state = self._state
        if self._restarts != state.restarts:
            rng = random.Random(f"{self._seed}/{path}")
            order: Order = rng.choice(_ORDERS[1:]) if path else rng.choices(_ORDERS, (3, 1, 0))[0]
            self._expert = HouseholdExpert(state.room.goal, order, rng)
            self._heard = 0
            self._restarts = state.restarts
        for _, text in state.log[self._heard :]:
            self._expert.observe(text)
        self._heard = len(state.log)
        return self._expert

    def _pick(self, question: str, path: int) -> int:
        """Number of the candidate the expert would choose: its own move, else one that is possible and leads
        somewhere new, else the first possible, else the first."""
        # The candidates are the last run of lines numbered from 1; nothing before them is one.
        options: dict[int, str] = {}
        for number, action in _NUMBERED.findall(question):
            if int(number) == 1:
                options = {}
            options[int(number)] = command_in("current", action)
        expert = self._caught_up(path)
        best = expert.decide().action
        possible = set(self._state.admissible_commands())

        def rank(number: int) -> tuple[int, int]:
            action = options[number]
            if action == best:
                return 0, number
            if action not in possible:
                return 3, number
            new = action.startswith("go to ") and action.removeprefix("go to ") not in expert.contents
            return (1 if new else 2), number

        return min(options, key=rank, default=1)

    def _subtask_done(self, question: str) -> bool:
        """The judged subtask is the one of the plan that the question names; without one it is the whole task."""
        named = [subtask for subtask in self._plan if subtask.text in question]
        return max(named, key=lambda subtask: len(subtask.text)).done(self._state) if named else self._state.won
