"""One goal shopped for, under AgentBench's rules."""

from __future__ import annotations

import re

from agentx.tasks.environment import Action, Observation, StepResult
from agentx.tasks.webshop.engine import Session, Shop
from agentx.tasks.webshop.reward import Goal
from agentx.tasks.webshop.settings import Settings
from agentx.trajectory import Outcome, Verdict

_FAITHFUL = re.compile(r"\s*((?:search|click)\[.+?])")
_CORRECTED = re.compile(r"\s*((?:search|click)\[.+\])\s*\Z")


class WebShopEnvironment:
    """Satisfies `agentx.tasks.environment.Environment`.

    A reply without `search[...]` or `click[...]` ends the episode as invalid_format with reward 0; an action that is
    not possible changes nothing; buying ends it as completed with the purchase's reward; after `task.max_rounds`
    rounds it ends as task_limit with reward 0.
    """

    deterministic = True

    def __init__(self, shop: Shop, goal: Goal, name: str, settings: Settings) -> None:
        self.task_statement = goal.instruction
        self.max_rounds = settings.max_rounds
        self.session: Session | None = None
        self._shop = shop
        self._goal = goal
        self._name = name
        self._settings = settings
        self._rounds = 0
        self._done = True
        self._offered: frozenset[str] = frozenset()

    async def reset(self) -> Observation:
        self.session = Session(self._shop, self._goal, self._name)
        self._rounds, self._done, self._offered = 0, False, frozenset()
        return self._observe(self.session)

    async def step(self, action: Action) -> StepResult:
        session = self.session
        if session is None or self._done:
            raise RuntimeError("the episode is over or was never started: call reset first")
        written = action.text or ""
        found = (_FAITHFUL if self._settings.rules == "faithful" else _CORRECTED).match(written)
        if found is None:
            self._done = True
            return StepResult(Observation(""), 0.0, True, Verdict.INVALID_FORMAT, Outcome.INVALID_FORMAT)
        command = found.group(1)
        turn = session.step(command)
        self._rounds += 1
        verdict = Verdict.VALID if turn.taken else self._refused(command)
        observation = self._observe(session)
        outcome = Outcome.COMPLETED if turn.done else None
        if outcome is None and self._rounds >= self.max_rounds:
            outcome = Outcome.TASK_LIMIT
        self._done = outcome is not None
        return StepResult(
            observation=observation,
            reward=turn.reward,
            done=self._done,
            verdict=verdict,
            outcome=outcome,
            executed=command,
            notices=("trailing_text",) if written[found.end() :].strip() else (),
        )

    async def fork(self) -> WebShopEnvironment:
        """A copy in the same state; a few references, whatever the catalogue's size."""
        if self.session is None:
            raise RuntimeError("the episode was never started: call reset first")
        other = WebShopEnvironment(self._shop, self._goal, self._name, self._settings)
        other.session = self.session.fork()
        other._rounds, other._done, other._offered = self._rounds, self._done, self._offered
        return other

    async def close(self) -> None:
        self.session, self._done = None, True

    def _refused(self, command: str) -> Verdict:
        """Clicking what was never on any page names something that was not observed."""
        seen = command.startswith("search") or command[len("click[") : -1].lower() in self._offered
        return Verdict.INVALID_ACTION if seen else Verdict.HALLUCINATED

    def _observe(self, session: Session) -> Observation:
        text = session.observation(rich=self._settings.observation == "text_rich")
        clickables = list(session.page.clickables)
        self._offered |= frozenset(clickables)
        if self._settings.prompt == "compact":
            return Observation(text)
        possible = ["search[words]" if name == "search" else f"click[{name}]" for name in clickables]
        return Observation(text, "AVAILABLE ACTIONS: " + "\n".join(possible))
