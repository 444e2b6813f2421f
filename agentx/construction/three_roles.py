"""Household trajectories by three roles: a question generator writes a problem for a room, an action maker acts, an
environment agent answers (the paper's constructed data for planning tasks)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from agentx.construction import household_problem as problems
from agentx.construction import wording
from agentx.construction.agreement import agree
from agentx.construction.asking import Crew, WritingFailed
from agentx.construction.household_problem import BadReply
from agentx.construction.record import Dialogue, Reason, Turn
from agentx.construction.settings import ConstructSettings
from agentx.conversation import Message
from agentx.reasoning.styles import Style
from agentx.tasks.environment import Action, Environment
from agentx.tasks.household.environment import HouseholdEnvironment, Player
from agentx.tasks.household.room import Room
from agentx.tasks.household.settings import Settings
from agentx.tasks.household.simulated_state import SimulatedState

_ANSWER = re.compile(r"^(FEEDBACK|HINT|SOLVED):[ \t]*(.*?)[ \t]*$")


@dataclass(frozen=True)
class Move:
    """One reply of the action maker."""

    reply: str
    thought: str
    action: str


@dataclass(frozen=True)
class Answer:
    """One reply of the environment agent."""

    feedback: str
    hint: str
    solved: bool


def real_environment(room: Room, settings: Settings, max_turns: int) -> HouseholdEnvironment:
    """The TextWorld engine on a game built from the room, under rules that take actions as they are."""

    def player() -> Player:
        from agentx.tasks.household.engine import Engine  # textworld takes a second to import
        from agentx.tasks.household.games import build_game

        return Engine(build_game(room))

    played = replace(
        settings,
        source="generated",
        split="train",
        samples=1,
        text="current",
        prompt="compact",
        matching="exact",
        max_rounds=max_turns,
    )
    return HouseholdEnvironment(player, played)


async def write(
    dialogue: Dialogue,
    room: Room,
    crew: Crew,
    settings: ConstructSettings,
    open_real: Callable[[Room], Environment],
) -> None:
    """Fill `dialogue` for `room`: its problem, first observation and turns.

    Raises WritingFailed, with the dialogue as far as it got; further what the models raise.
    """
    prompt = [Message("user", problems.question_prompt(room))]
    dialogue.problem = await crew.ask("question", prompt, 0, lambda reply: problems.read_problem(reply, room))
    room = problems.with_problem(room, dialogue.problem)
    dialogue.opening = problems.worded(SimulatedState(room).restart(), room, dialogue.problem)
    play = _Play(dialogue, room, crew, settings)
    if settings.environment == "simulated":
        await play.run(None)
        return
    real = open_real(room)
    try:
        await real.reset()
        await play.run(real)
    finally:
        await real.close()


class _Play:
    """One dialogue under way: what the two roles have been told so far."""

    def __init__(self, dialogue: Dialogue, room: Room, crew: Crew, settings: ConstructSettings) -> None:
        self.dialogue, self.crew, self.settings = dialogue, crew, settings
        self.acting = [
            Message("system", instruction()),
            Message("user", dialogue.opening),
        ]
        hints = settings.hints
        self.answering = [Message("system", problems.environment_prompt(room, dialogue.problem, hints))]

    async def run(self, real: Environment | None) -> None:
        for step in range(self.settings.max_turns):
            move = await self.crew.ask("action", self.acting, step, read_move)
            solved = await self._answer(move, step, real)
            if solved:
                return
        raise WritingFailed(Reason.TURN_LIMIT, f"not solved after {self.settings.max_turns} turns")

    async def _answer(self, move: Move, step: int, real: Environment | None) -> bool:
        """Have the action answered and add the turn; whether the dialogue is over."""
        turn = Turn(move.reply, move.thought, move.action, "")
        over = False
        if self.settings.environment == "real":
            assert real is not None
            result = await real.step(Action(move.action, move.reply))
            turn.observation, turn.by, over = result.observation.text, "real", result.done
        else:
            asked = [*self.answering, Message("user", f"COMMAND: {move.action}")]
            answer = await self.crew.ask("environment", asked, step, read_answer)
            turn.observation, turn.hint, over = answer.feedback, answer.hint, answer.solved
            if real is not None:
                over = await self._correct(turn, move, real)
            said = f"FEEDBACK: {turn.observation}\nSOLVED: {'yes' if over else 'no'}"
            self.answering = [*asked, Message("assistant", said)]
        self.dialogue.turns.append(turn)
        told = turn.observation
        if turn.hint and self.settings.hints:
            told += "\n" + wording.text(wording.ACTION, "hint", hint=turn.hint)
        self.acting += [Message("assistant", move.reply), Message("user", told)]
        return over

    async def _correct(self, turn: Turn, move: Move, real: Environment) -> bool:
        """Put the real reply in the place of a false one before anyone builds on it; whether the episode is over."""
        result = await real.step(Action(move.action, move.reply))
        if not agree(turn.observation, result.observation.text):
            turn.said, turn.observation, turn.by, turn.hint = turn.observation, result.observation.text, "real", ""
        return result.done


def instruction() -> str:
    """What the action maker is told before the first observation."""
    return wording.text(wording.ACTION, "instruction", commands=COMMANDS)


COMMANDS = "\n  ".join(
    f"- {command}"
    for command in (
        "go to Y",
        "take X from Y",
        "move X to Y",
        "open Y",
        "close Y",
        "heat X with Y",
        "clean X with Y",
        "cool X with Y",
        "use X",
        "examine X",
        "look",
        "inventory",
    )
)
_STYLE = Style("react")


def read_move(reply: str) -> Move:
    """Thought and action of a reply in the react format. Strict: whatever the methods' parser would have to forgive is
    refused, since it would be imitated. Raises BadReply."""
    parsed = _STYLE.parse(reply)
    if parsed.action is None:
        raise BadReply("there is no line ACTION: with a command")
    if parsed.forgiven:
        raise BadReply(f"the form is not right ({', '.join(parsed.forgiven)})")
    if "\n" in parsed.thought:
        raise BadReply("the thought must be on one line")
    action = parsed.action.rstrip(".").lower()
    return Move(f"THOUGHT: {parsed.thought}\nACTION: {action}", parsed.thought, action)


def read_answer(reply: str) -> Answer:
    """Raises BadReply where a line is missing, twice there, or none of the three."""
    found: dict[str, str] = {}
    for line in reply.strip().splitlines():
        if not line.strip():
            continue
        match = _ANSWER.match(line)
        if match is None or match.group(1) in found:
            raise BadReply("there must be the lines FEEDBACK: and SOLVED:, each once, and no other but HINT:")
        found[match.group(1)] = match.group(2)
    if not found.get("FEEDBACK"):
        raise BadReply("the line FEEDBACK: is missing or empty")
    solved = found.get("SOLVED", "").casefold().rstrip(".")
    if solved not in ("yes", "no"):
        raise BadReply("the line SOLVED: must say yes or no")
    return Answer(found["FEEDBACK"], found.get("HINT", ""), solved == "yes")
