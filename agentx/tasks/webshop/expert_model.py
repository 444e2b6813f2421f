"""The shopper as a chat model: it acts, plans and judges while a real reasoning method runs.

What it says becomes training text, so that the text a model is tuned on is the text it will be sent, byte for byte.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from agentx.conversation import Message
from agentx.models.chat import Request
from agentx.tasks.demonstration import ScriptedModel
from agentx.tasks.replies import STYLES, reply
from agentx.tasks.webshop.engine import Session
from agentx.tasks.webshop.expert import Move, Shopper, stray
from agentx.tasks.webshop.reward import Goal
from agentx.trajectory import Purpose

_NUMBERED = re.compile(r"^\s*(\d+)[.)]\s+(.+?)\s*$", re.MULTILINE)


class ExpertModel(ScriptedModel):
    """A ChatModel for one episode; implements `agentx.models.chat.ChatModel`.

    `current` gives the environment's session. Deviations from the shopper's way are seeded and recorded in `strayed`
    as (path, step, branch), for the recorder not to train on them: with probability `mistakes` a reply is a wrong
    turn (never a purchase); on the first `weak_paths` paths most are. Of further replies to one prompt about half
    differ; at a share `contested` of the steps the first is the wrong one. Tree search is not served.
    """

    simulated = True

    def __init__(
        self,
        current: Callable[[], Session],
        goal: Goal,
        style: str,
        *,
        seed: int = 0,
        mistakes: float = 0.0,
        weak_paths: int = 0,
        contested: float = 0.0,
    ) -> None:
        if style not in STYLES:
            raise ValueError(f"style {style!r} is not one of {', '.join(STYLES)}")
        super().__init__("webshop-expert")
        self._current = current
        self._goal = goal
        self._style = style
        self._seed = seed
        self._mistakes = mistakes
        self._weak_paths = weak_paths
        self._contested = contested
        self._shoppers: dict[int, Shopper] = {}
        self._ended: dict[int, float] = {}
        found = f"find and open a {goal.query} that is {' and '.join(goal.attributes)}"
        choose = f"choose {' and '.join(goal.options)}" if goal.options else ""
        self._plan = [line for line in (found, choose, "buy the product") if line]

    def reply(self, messages: Sequence[Message], request: Request) -> str:
        if request.purpose is Purpose.ACT:
            move = self._act(request)
            return reply(self._style, move.thought, move.thought, move.action)
        if request.purpose is Purpose.PLAN:
            return "\n".join(f"{number}. {line}" for number, line in enumerate(self._plan, 1))
        if request.purpose is Purpose.PICK:
            return str(self._pick(messages[-1].content, request.path))
        if request.purpose is Purpose.SUBTASK_DONE:
            return "Yes" if self._subtask_done(messages[-1].content) else "No"
        if request.purpose is Purpose.SCORE:
            return str(round(10 * self._ended.get(request.path, self._progress())))
        self._ended[request.path] = self._progress()
        return "Yes" if self._ended[request.path] >= 1 else "No"

    def _act(self, request: Request) -> Move:
        session = self._current()
        right = self._shopper(request.path).decide(session)
        weak = request.path < self._weak_paths
        rng = random.Random(request.seed)
        step = random.Random(f"{self._seed}/{request.path}/{request.step}")
        if step.random() < self._contested:
            wrong = request.branch == 0
        else:
            wrong = rng.random() < (0.5 if request.branch else 0.7 if weak else self._mistakes)
        if not wrong:
            return right
        self.strayed.add((request.path, request.step, request.branch))
        move = stray(session, right.action, rng)
        if move.action == "click[buy now]" and not weak and not request.branch and not self._contested:
            return Move("click[description]", "I try this.")
        return move

    def _shopper(self, path: int) -> Shopper:
        return self._shoppers.setdefault(path, Shopper(self._goal))

    def _pick(self, question: str, path: int) -> int:
        """Number of the candidate the shopper would choose: its own move, else one that does not buy."""
        options: dict[int, str] = {}
        for number, action in _NUMBERED.findall(question):
            if int(number) == 1:
                options = {}
            options[int(number)] = action
        best = self._shopper(path).decide(self._current()).action

        def rank(number: int) -> tuple[int, int]:
            action = options[number]
            return (0 if action == best else 2 if action == "click[buy now]" else 1), number

        return min(options, key=rank, default=1)

    def _progress(self) -> float:
        """How much of the goal is reached, in [0, 1]; a purchase counts by its reward."""
        session = self._current()
        if session.purchase is not None:
            return session.purchase.reward
        if not Shopper(self._goal).fits(session):
            return 0.1 if session.keywords else 0.0
        chosen = sum(option in session.options.values() for option in self._goal.options)
        return 0.4 + 0.4 * chosen / max(len(self._goal.options), 1)

    def _subtask_done(self, question: str) -> bool:
        """The judged subtask is the one of the plan that the question names; without one it is the whole task."""
        session = self._current()
        won = session.purchase is not None and session.purchase.reward >= 1
        named = max((line for line in self._plan if line in question), key=len, default="")
        if won or named in ("", "buy the product"):
            return won
        opened = Shopper(self._goal).fits(session)
        if named.startswith("find"):
            return opened
        return opened and all(option in session.options.values() for option in self._goal.options)
