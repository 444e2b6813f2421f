"""Tool-task trajectories by in-context imitation: the teacher is shown worked trajectories and writes one for a new
problem, whole (the paper's way) or one reply at a time in the real environment."""

from __future__ import annotations

from collections.abc import Sequence

from agentx.construction import wording
from agentx.construction.agreement import agree
from agentx.construction.asking import Crew, WritingFailed
from agentx.construction.examples import Worked
from agentx.construction.household_problem import BadReply
from agentx.construction.record import Dialogue, Reason, Turn
from agentx.construction.scenes import Scene
from agentx.construction.settings import ConstructSettings
from agentx.conversation import Message
from agentx.reasoning.styles import Style
from agentx.tasks.environment import Action, Environment, Observation

AGENT = wording.text(wording.IMITATION, "agent")
ENVIRONMENT = wording.text(wording.IMITATION, "environment")


async def write(
    dialogue: Dialogue,
    scene: Scene,
    instruction: str,
    background: str,
    examples: Sequence[Worked],
    crew: Crew,
    settings: ConstructSettings,
    opening: str,
) -> None:
    """Fill `dialogue` for `scene`, whose first observation is `opening`. Raises WritingFailed, with the dialogue as far
    as it got; further what models and environments raise."""
    dialogue.opening = opening
    writer = _Writer(dialogue, scene, instruction, background, examples, crew, settings)
    if settings.environment == "simulated":
        await writer.whole()
        return
    real = scene.open_real()
    try:
        first = await real.reset()
        if settings.environment == "real":
            await writer.step_by_step(real, first)
        else:
            await writer.corrected(real)
    finally:
        await real.close()


class _Writer:
    def __init__(
        self,
        dialogue: Dialogue,
        scene: Scene,
        instruction: str,
        background: str,
        examples: Sequence[Worked],
        crew: Crew,
        settings: ConstructSettings,
    ) -> None:
        self.dialogue, self.crew, self.settings = dialogue, crew, settings
        self.style = Style("react", multiline=scene.multiline)
        self.instruction, self.background = instruction, background
        self.examples = "\n".join(
            wording.text(wording.IMITATION, "example", number=number, problem=worked.opening, dialogue=worked.dialogue)
            for number, worked in enumerate(examples, 1)
        )

    async def whole(self) -> None:
        """One reply holds the dialogue."""
        self.dialogue.turns = await self.crew.ask("writer", self._asked(), 0, self._read)
        if len(self.dialogue.turns) > self.settings.max_turns:
            raise WritingFailed(Reason.TURN_LIMIT, f"{len(self.dialogue.turns)} turns")

    async def corrected(self, real: Environment) -> None:
        """The same, but where the real environment answers otherwise its reply is put in, and the teacher goes on from
        there."""
        turns = self.dialogue.turns
        while True:
            # The step counts the turns that stand: a resumed run asks the same again.
            written = await self.crew.ask("writer", self._asked(), len(turns), self._read)
            for place, turn in enumerate(written):
                if len(turns) >= self.settings.max_turns:
                    raise WritingFailed(Reason.TURN_LIMIT, f"not finished after {self.settings.max_turns} turns")
                result = await real.step(Action(turn.action, turn.reply))
                shown = result.observation.text
                last = place + 1 == len(written)
                differs = not last and not agree(turn.observation, shown)
                if differs:
                    turn.said = turn.observation
                if differs or last:
                    turn.observation, turn.by = shown, "real"
                turns.append(turn)
                if result.done:
                    return
                if differs:
                    break

    async def step_by_step(self, real: Environment, first: Observation) -> None:
        """The teacher acts in the real environment."""
        messages = [
            Message(
                "system", wording.text(wording.IMITATION, "act", instruction=self.instruction, examples=self.examples)
            ),
            Message("user", first.shown),
        ]
        shown = first.text
        for step in range(self.settings.max_turns):
            turn = await self.crew.ask("agent", messages, step, lambda reply: read_turn(reply, self.style))
            result = await real.step(Action(turn.action, turn.reply))
            turn.observation, turn.by = result.observation.text, "real"
            self.dialogue.turns.append(turn)
            if result.done:
                return
            # What is shown with the newest message only (a page, the possible actions) leaves with the next one.
            messages[-1] = Message("user", shown)
            messages += [Message("assistant", turn.reply), Message("user", result.observation.shown)]
            shown = turn.observation
        raise WritingFailed(Reason.TURN_LIMIT, f"not finished after {self.settings.max_turns} turns")

    def _asked(self) -> list[Message]:
        background = self.background and wording.text(wording.IMITATION, "background", background=self.background)
        asked = wording.text(
            wording.IMITATION,
            "write",
            instruction=self.instruction,
            examples=self.examples,
            background=background,
            agent=AGENT,
            environment=ENVIRONMENT,
            problem=self.dialogue.opening,
        )
        if self.dialogue.turns:
            so_far = "\n".join(
                f"{AGENT}\n{turn.reply}\n{ENVIRONMENT}\n{turn.observation}" for turn in self.dialogue.turns
            )
            asked += "\n" + wording.text(wording.IMITATION, "onward", dialogue=so_far, agent=AGENT)
        return [Message("user", asked)]

    def _read(self, reply: str) -> list[Turn]:
        return read_dialogue(reply, self.style)


def read_dialogue(reply: str, style: Style) -> list[Turn]:
    """The turns of a whole dialogue. Strict: it begins and ends with the agent, parts take turns, and each of the
    agent's is in the style's format without anything to forgive. Raises BadReply."""
    parts: list[tuple[str, list[str]]] = []
    for line in reply.replace("\r\n", "\n").strip().split("\n"):
        if line.strip() in (AGENT, ENVIRONMENT):
            parts.append((line.strip(), []))
        elif parts:
            parts[-1][1].append(line)
        else:
            raise BadReply(f"the first line must be {AGENT!r}")
    if not parts or parts[-1][0] != AGENT:
        raise BadReply(f"the last part must be the agent's, after a line {AGENT!r}")
    turns: list[Turn] = []
    for number, (speaker, lines) in enumerate(parts):
        if speaker != (AGENT, ENVIRONMENT)[number % 2]:
            raise BadReply(f"part {number + 1}: {AGENT!r} and {ENVIRONMENT!r} must take turns")
        text = "\n".join(lines).strip("\n")
        if speaker == AGENT:
            turns.append(read_turn(text, style))
        elif not text.strip():
            raise BadReply(f"part {number + 1}: the environment says nothing")
        else:
            turns[-1].observation = text
    return turns


def read_turn(reply: str, style: Style) -> Turn:
    """One reply of the agent. Raises BadReply where the methods' parser would have to forgive anything."""
    parsed = style.parse(reply)
    if parsed.action is None:
        raise BadReply("an agent's part has no line ACTION: with an action")
    if parsed.forgiven:
        raise BadReply(f"an agent's part has not the right form ({', '.join(parsed.forgiven)})")
    return Turn(f"THOUGHT: {parsed.thought}\nACTION: {parsed.action}", parsed.thought, parsed.action, "")
