"""The offline teacher: the tasks' scripted experts play the roles, with varied wording.

It needs no key and no network, and writes through the same prompts, readers, verification and filters as any teacher.
A reply depends on the messages and the request alone, so that asking twice gets the same answer.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

from agentx.construction import household_problem as problems
from agentx.construction import wording
from agentx.construction.paraphrase import reworded
from agentx.construction.scenes import Scene
from agentx.conversation import Message
from agentx.models.chat import Completion, Request, Sampling
from agentx.reasoning.styles import Style
from agentx.tasks.demonstration import ScriptedModel
from agentx.tasks.environment import Action
from agentx.tasks.household.expert import HouseholdExpert, Order
from agentx.tasks.household.room import LOOK, Room
from agentx.tasks.household.simulated_state import SimulatedState
from agentx.tasks.replies import reply
from agentx.trajectory import Purpose

NAME = "expert"
_COMMAND = "COMMAND: "
_ASKED_AGAIN = (wording.ACTION, wording.ENVIRONMENT)
_ORDERS: tuple[Order, ...] = ("listed", "likely", "shuffled")


class HouseholdRoles(ScriptedModel):
    """All three roles for one room; `request.role` says which is asked. `seed` draws wording and order of search."""

    simulated = True

    def __init__(self, room: Room, seed: str) -> None:
        super().__init__(NAME)
        self._room, self._seed = room, seed

    def reply(self, messages: Sequence[Message], request: Request) -> str:
        if request.role == "question":
            return self._question()
        told = [message.content for message in messages if message.role == "user" and not _complains(message.content)]
        return self._act(told, request.step) if request.role == "action" else self._answer(told)

    def _question(self) -> str:
        goal = self._room.goal
        second = f"LAMP: {goal.lamp.lower()}" if goal.task_type == LOOK else f"TARGET: {goal.target.lower()}"
        sentence = problems.sentence_for(self._room, random.Random(f"{self._seed}/problem"))
        return f"OBJECT: {goal.item.lower()}\n{second}\nPROBLEM: {sentence}"

    def _act(self, observations: list[str], step: int) -> str:
        rng = random.Random(f"{self._seed}/order")
        expert = HouseholdExpert(self._room.goal, rng.choices(_ORDERS, (2, 3, 1))[0], rng)
        for observation in observations[:-1]:
            expert.observe(_without_hint(observation))
            expert.decide()
        expert.observe(_without_hint(observations[-1]))
        move = expert.decide()
        thought = reworded(move.thought, random.Random(f"{self._seed}/{step}"))
        return reply("react", thought, thought, move.action)

    def _answer(self, commands: list[str]) -> str:
        state = SimulatedState(self._room)
        feedback = ""
        for command in commands:
            feedback = state.do(command.removeprefix(_COMMAND))
        return f"FEEDBACK: {feedback}\nSOLVED: {'yes' if state.won else 'no'}"


class ImitationRole(ScriptedModel):
    """The writer of a tool task's trajectory for one scene: what the scripted expert does in an environment of its own,
    in other words. It writes the whole dialogue, the rest of one, or a single reply."""

    simulated = True

    def __init__(self, scene: Scene, seed: str) -> None:
        super().__init__(NAME)
        self._scene, self._seed = scene, seed
        self._played: list[tuple[str, str]] = []

    async def generate(self, messages: Sequence[Message], sampling: Sampling, request: Request) -> Completion:
        if not self._played:
            self._played = await played(self._scene, self._seed)
        if request.role == "agent":
            text = self._played[min(request.step, len(self._played) - 1)][0]
        else:
            text = script(self._played[request.step :])
        return Completion(text, self.count_tokens(messages), len(text.split()))


async def played(scene: Scene, seed: str) -> list[tuple[str, str]]:
    """(reply, observation) pairs of the scripted expert in a fresh environment, thoughts reworded; a play without the
    deliberate mistakes that demonstrations have. The last observation is what followed the last reply."""
    for attempt in range(20):
        demonstration = scene.demonstrate()
        turns = await _play(demonstration, scene, seed, attempt)
        if turns is not None:
            return turns
    raise RuntimeError(f"the scripted expert of {scene.id} makes a mistake in every play")


async def _play(demonstration: Any, scene: Scene, seed: str, attempt: int) -> list[tuple[str, str]] | None:
    style = Style("react", multiline=scene.multiline)
    environment = demonstration.environment
    turns: list[tuple[str, str]] = []
    try:
        observation = await environment.reset()
        messages = [Message("user", observation.shown)]
        for step in range(environment.max_rounds):
            request = Request(0, demonstration.id, attempt, 0, step, 0, "policy", Purpose.ACT)
            completion = await demonstration.expert.generate(messages, Sampling(), request)
            if demonstration.strayed:
                return None
            parsed = style.parse(completion.text)
            thought = reworded(parsed.thought, random.Random(f"{seed}/{step}"))
            said = reply("react", thought, thought, parsed.action or "")
            result = await environment.step(Action(parsed.action, said))
            turns.append((said, result.observation.text))
            if result.done:
                return turns
            # The expert knows its own steps by their wording.
            messages += [Message("assistant", completion.text), Message("user", result.observation.shown)]
        return turns
    finally:
        await environment.close()


def script(turns: Sequence[tuple[str, str]]) -> str:
    """A dialogue in the form the imitation prompt asks for; the last observation is left out."""
    agent, environment = wording.text(wording.IMITATION, "agent"), wording.text(wording.IMITATION, "environment")
    parts = []
    for said, observation in turns:
        parts += [f"{agent}\n{said}", f"{environment}\n{observation}"]
    return "\n".join(parts[:-1])


def _complains(text: str) -> bool:
    """Whether this asks for a reply once more."""
    return any(text.startswith(wording.text(name, "again").partition("{")[0]) for name in _ASKED_AGAIN)


def _without_hint(observation: str) -> str:
    return re.sub(r"\nHINT: .*\Z", "", observation)
