"""What is particular to a task: how a trajectory is written, where it is verified, how it is worded for tuning."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, Protocol

from agentx.construction import household_problem, imitation, three_roles, wording
from agentx.construction.asking import Crew
from agentx.construction.examples import Worked, chosen
from agentx.construction.record import Dialogue
from agentx.construction.scenes import Scene
from agentx.construction.scripted import HouseholdRoles, ImitationRole, played, script
from agentx.construction.settings import ConstructSettings
from agentx.conversation import Message
from agentx.models.chat import ChatModel
from agentx.tasks import replies
from agentx.tasks.environment import Environment
from agentx.tasks.household.layouts import knowledge
from agentx.tasks.household.room import Room
from agentx.tasks.household.settings import Settings as HouseholdSettings
from agentx.tasks.household.text_versions import answer_in, command_in, prompt_in


class Workshop(Protocol):
    """Where trajectories of one task are made. `roles` are the names of its roles with their prompt files."""

    roles: dict[str, str]
    names: Collection[str]
    """classes of the numbered things that an agent may not speak of unseen"""

    def begin(self, index: int) -> Dialogue:
        """Trajectory `index`, not yet written. The same index gives the same one."""
        ...

    def scripted(self, index: int) -> ChatModel:
        """The offline teacher in all roles."""
        ...

    async def prepare(self) -> None:
        """Whatever all trajectories share; called before the first."""
        ...

    async def write(self, dialogue: Dialogue, crew: Crew) -> None:
        """Raises WritingFailed and what models and environments raise."""
        ...

    def open_real(self, dialogue: Dialogue) -> Callable[[], Environment]: ...

    def instruction(self, dialogue: Dialogue) -> str:
        """What the teacher's agent is told beforehand."""
        ...

    def prompt(self, dialogue: Dialogue, style: str, shots: int) -> list[Message]:
        """What evaluation shows before the first observation."""
        ...

    def worded(self, dialogue: Dialogue, style: str) -> tuple[Dialogue, list[str]]:
        """The dialogue and the agent's replies as evaluation in `style` words them."""
        ...


class HouseholdWorkshop:
    """Three roles and a room; satisfies `Workshop`."""

    def __init__(self, settings: HouseholdSettings, options: ConstructSettings, seed: int) -> None:
        self.settings, self.options, self.seed = settings, options, seed
        self.roles = {"question": wording.QUESTION, "action": wording.ACTION}
        if options.environment != "real":
            self.roles["environment"] = wording.ENVIRONMENT
        kinds = knowledge().holds
        self.names: Collection[str] = {
            kind.lower() for kind in [*kinds, *(item for items in kinds.values() for item in items)]
        }

    def begin(self, index: int) -> Dialogue:
        room = self._room(index)
        return Dialogue(
            index,
            f"household-{self.seed}-{index:05d}-{room.task_type}-{room.floor_plan}",
            "household",
            room.task_type,
            {},
            environment=self.options.environment,
        )

    def scripted(self, index: int) -> ChatModel:
        return HouseholdRoles(self._room(index), f"{self.seed}/{index}")

    async def prepare(self) -> None:
        """Rooms are made one by one."""

    async def write(self, dialogue: Dialogue, crew: Crew) -> None:
        await three_roles.write(dialogue, self._room(dialogue.index), crew, self.options, self._real)

    def open_real(self, dialogue: Dialogue) -> Callable[[], Environment]:
        room = self._room(dialogue.index)
        return lambda: self._real(household_problem.with_problem(room, dialogue.problem))

    def instruction(self, dialogue: Dialogue) -> str:
        return three_roles.instruction()

    def prompt(self, dialogue: Dialogue, style: str, shots: int) -> list[Message]:
        from agentx.tasks.household.prompts import opening

        return prompt_in(self.settings.text, opening(dialogue.kind, style, shots, self.settings.prompt))

    def worded(self, dialogue: Dialogue, style: str) -> tuple[Dialogue, list[str]]:
        text, said = self.settings.text, []
        for turn in dialogue.turns:
            turn.observation = answer_in(text, turn.observation, turn.action)
            said.append(replies.reply(style, turn.thought, turn.thought, command_in(text, turn.action)))
        return dialogue, said

    def _real(self, room: Room) -> Environment:
        return three_roles.real_environment(room, self.settings, self.options.max_turns)

    def _room(self, index: int) -> Room:
        return household_problem.room_for(self.settings, self.seed, index)


class ToolWorkshop:
    """In-context imitation for tasks of tools; satisfies `Workshop`."""

    names: Collection[str] = ()

    def __init__(self, task: str, settings: Any, options: ConstructSettings, seed: int) -> None:
        self.task, self.settings, self.options, self.seed = task, settings, options, seed
        self.roles = {"agent" if options.environment == "real" else "writer": wording.IMITATION}
        self._pool: list[Worked] = []

    def begin(self, index: int) -> Dialogue:
        scene = self._scene(index)
        demonstration = scene.demonstrate()
        return Dialogue(index, scene.id, self.task, demonstration.kind, {}, environment=self.options.environment)

    def scripted(self, index: int) -> ChatModel:
        return ImitationRole(self._scene(index), f"{self.seed}/{index}")

    async def prepare(self) -> None:
        """Play the worked examples: the expert's own problems, which no trajectory is written for."""
        if self._pool or not self.options.examples:
            return
        for number in range(self.options.pool):
            scene = Scene(self.task, self.settings, self.seed + 1, 1_000_000 + number)
            turns = await played(scene, f"{self.seed}/example/{number}")
            environment = scene.demonstrate().environment
            try:
                opening = (await environment.reset()).text
            finally:
                await environment.close()
            self._pool.append(Worked(scene.id, opening, script(turns)))

    async def write(self, dialogue: Dialogue, crew: Crew) -> None:
        scene = self._scene(dialogue.index)
        demonstration = scene.demonstrate()
        try:
            opening = (await demonstration.environment.reset()).text
        finally:
            await demonstration.environment.close()
        options = self.options
        rng = random.Random(f"{self.seed}/{dialogue.index}/examples")
        examples = chosen(self._pool, opening, options.examples, options.selection, rng)
        dialogue.problem = {"examples": [worked.id for worked in examples]}
        background = demonstration.background
        await imitation.write(dialogue, scene, self.instruction(dialogue), background, examples, crew, options, opening)

    def open_real(self, dialogue: Dialogue) -> Callable[[], Environment]:
        return self._scene(dialogue.index).open_real

    def prompt(self, dialogue: Dialogue, style: str, shots: int) -> list[Message]:
        scene = self._scene(dialogue.index)
        return list(scene.demonstrate(style, shots).opening)

    def worded(self, dialogue: Dialogue, style: str) -> tuple[Dialogue, list[str]]:
        return dialogue, [replies.reply(style, turn.thought, turn.thought, turn.action) for turn in dialogue.turns]

    def instruction(self, dialogue: Dialogue) -> str:
        """The task's own in the full wording, which a teacher can read."""
        scene = Scene(self.task, replace(self.settings, prompt="plain"), self.seed, 0)
        opening: Sequence[Message] = scene.demonstrate("react", 0).opening
        return opening[0].content

    def _scene(self, index: int) -> Scene:
        return Scene(self.task, self.settings, self.seed, index)


def workshop(task: str, settings: Any, options: ConstructSettings, seed: int) -> Workshop:
    """The workshop of a task: three roles for household games, imitation for the others."""
    if task == "household":
        return HouseholdWorkshop(settings, options, seed)
    return ToolWorkshop(task, settings, options, seed)


def evaluated_problems(task: str, settings: Any, paths: Any, count: int) -> list[tuple[str, str]] | None:
    """(id, first observation) of evaluated problems where the task can tell them without opening each; else None."""
    module = importlib.import_module(f"agentx.tasks.{task}.demonstrations")
    tell = getattr(module, "evaluated_problems", None)
    return None if tell is None else tell(settings, paths, count)
