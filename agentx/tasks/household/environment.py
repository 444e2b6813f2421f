"""A household game under AgentBench 0.2's rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from agentx.tasks.environment import Action, Observation, StepResult
from agentx.tasks.household.matching import Match, match, normalise
from agentx.tasks.household.settings import Settings
from agentx.tasks.household.text_versions import answer_in, offered
from agentx.trajectory import Outcome, Verdict

_NAME = re.compile(r"\b[a-z]+ \d+\b")
_TASK = re.compile(r"Your task is to: (.+?)\.?\s*$", re.MULTILINE)
_LOOP_LENGTH = 3
# No game has this command: it lets the game itself say that nothing happens.
_IMPOSSIBLE = "-"


class PlayerState(Protocol):
    """What a game shows after a reset or a step."""

    @property
    def feedback(self) -> str: ...
    @property
    def admissible(self) -> tuple[str, ...]: ...
    @property
    def won(self) -> bool: ...
    @property
    def valid(self) -> bool: ...


class Player(Protocol):
    """Something that plays a game; `agentx.tasks.household.engine.Engine` is the real one."""

    def reset(self) -> PlayerState: ...
    def step(self, command: str) -> PlayerState: ...
    def fork(self) -> Player: ...
    def close(self) -> None: ...


@dataclass
class _Progress:
    """Where the path stands."""

    commands: dict[str, str] = field(default_factory=dict)
    """available commands as shown -> as the game words them"""
    seen: frozenset[str] = frozenset()
    """names with number the agent has been shown"""
    replies: tuple[str, ...] = ()
    executed: tuple[str, ...] = ()
    done: bool = True

    @property
    def rounds(self) -> int:
        return len(self.replies)


class HouseholdEnvironment:
    """One game in play; satisfies `agentx.tasks.environment.Environment`.

    `player` makes the game when it is first needed (reset raises its TaskDataError). Rules that count: an action that
    is not available becomes the most similar available one (`task.matching`); no action at all ends the episode as
    invalid_action; so do three equal replies in a row from the fourth round on, even if the last of them reaches the
    goal; after `task.max_rounds` rounds it ends as task_limit. The reward is 1 for a reached goal, else 0.
    """

    deterministic = True

    def __init__(self, player: Callable[[], Player], settings: Settings) -> None:
        self.task_statement = ""
        self.max_rounds = settings.max_rounds
        self._make_player = player
        self._settings = settings
        self._player: Player | None = None
        self._progress = _Progress()

    async def reset(self) -> Observation:
        if self._player is None:
            self._player = self._make_player()
        state = self._player.reset()
        introduction = state.feedback.removeprefix("-= Welcome to TextWorld, ALFRED! =-").lstrip("\n")
        found = _TASK.search(introduction)
        self.task_statement = found.group(1) if found else introduction
        self._progress = _Progress(done=False)
        return self._observe(introduction, state.admissible)

    async def step(self, action: Action) -> StepResult:
        progress = self._progress
        if progress.done or self._player is None:
            raise RuntimeError("the episode is over or was never started: call reset first")
        written = normalise(action.text)
        if not written:
            progress.done = True
            return StepResult(Observation(""), 0.0, True, Verdict.INVALID_FORMAT, Outcome.INVALID_ACTION)
        matched = match(written, tuple(progress.commands), self._settings.matching)
        unseen = written not in progress.commands and not progress.seen.issuperset(_NAME.findall(written))

        state = self._player.step(progress.commands.get(matched.command, _IMPOSSIBLE))
        progress.replies += (action.raw,)
        progress.executed += (matched.command,)
        observation = self._observe(answer_in(self._settings.text, state.feedback, matched.command), state.admissible)
        outcome = self._outcome(state.won)
        progress.done = outcome is not None
        return StepResult(
            observation=observation,
            reward=1.0 if outcome is Outcome.COMPLETED else 0.0,
            done=progress.done,
            verdict=Verdict.HALLUCINATED if unseen else Verdict.VALID if state.valid else Verdict.INVALID_ACTION,
            outcome=outcome,
            executed=matched.command,
            notices=tuple(self._notices(matched)),
        )

    async def fork(self) -> HouseholdEnvironment:
        """A copy in the same state; closing one does not touch the other."""
        if self._player is None:
            raise RuntimeError("the episode was never started: call reset first")
        other = HouseholdEnvironment(self._make_player, self._settings)
        other.task_statement = self.task_statement
        other._player = self._player.fork()
        other._progress = replace(self._progress)
        return other

    async def close(self) -> None:
        player, self._player = self._player, None
        self._progress = _Progress()
        if player is not None:
            player.close()

    def _observe(self, text: str, admissible: Iterable[str]) -> Observation:
        self._progress.commands = offered(self._settings.text, admissible)
        transient = ""
        if self._settings.prompt == "plain":
            transient = "AVAILABLE ACTIONS: " + "\n".join(self._progress.commands)
        self._progress.seen |= frozenset(_NAME.findall(f"{text}\n{transient}"))
        return Observation(text, transient)

    def _outcome(self, won: bool) -> Outcome | None:
        if self._looped(self._progress.replies):
            return Outcome.INVALID_ACTION
        if won:
            return Outcome.COMPLETED
        return Outcome.TASK_LIMIT if self._progress.rounds >= self.max_rounds else None

    def _looped(self, replies: tuple[str, ...]) -> bool:
        return len(replies) > _LOOP_LENGTH and len(set(replies[-_LOOP_LENGTH:])) == 1

    def _notices(self, matched: Match) -> Iterable[str]:
        if matched.replaced:
            yield "matched"
        last = self._progress.executed[-_LOOP_LENGTH:]
        if self._looped(self._progress.replies) or (len(last) == _LOOP_LENGTH and len(set(last)) == 1):
            yield "loop"
