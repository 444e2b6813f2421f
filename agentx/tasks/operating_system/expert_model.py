"""The writer of a generated problem as a chat model: it solves, plans and judges while a real reasoning method runs."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from agentx.conversation import Message
from agentx.models.chat import Request
from agentx.tasks.demonstration import ScriptedModel
from agentx.tasks.operating_system.actions import Command, render
from agentx.tasks.operating_system.problems import ExpertStep, Problem
from agentx.tasks.operating_system.prompts import reply
from agentx.trajectory import Purpose

_NUMBERED = re.compile(r"^\s*(\d+)[.)]\s+(.*)$")
_ASTRAY = (
    ("I look around first.", Command("bash", "ls /")),
    ("I check who I am.", Command("bash", "id")),
    ("I see what is running.", Command("bash", "ps aux | head -n 5")),
)
LOST = 0.2
"""share of the steps with branches at which every candidate looks around, so that a judge has a No to say"""


class ExpertModel(ScriptedModel):
    """A ChatModel for one episode of one problem; implements `agentx.models.chat.ChatModel`.

    Deviations are seeded and recorded in `strayed` as (path, step, branch). The first `weak_paths` paths give up too
    early, so that there is something to come back from; at a share `contested` of the steps the first candidate looks
    around to no purpose and the others go on. Which steps of the solution have been taken is read from the path's
    own messages.
    """

    def __init__(self, problem: Problem, style: str, *, seed: int = 0, weak_paths: int = 0, contested: float = 0.0):
        super().__init__("operating-system-expert")
        self._problem, self._style, self._seed = problem, style, seed
        self._weak_paths, self._contested = weak_paths, contested
        self._taken: dict[int, int] = {}
        """steps of the solution taken, by path, once the reply that is being written has been carried out"""

    def reply(self, messages: Sequence[Message], request: Request) -> str:
        question = messages[-1].content
        if request.purpose is Purpose.ACT:
            return self._act(messages, request)
        if request.purpose is Purpose.PLAN:
            return "\n".join(f"{number}. {step.subtask}" for number, step in enumerate(self._problem.solution, 1))
        if request.purpose is Purpose.PICK:
            return str(self._pick(question, request.path))
        solved = self._solved(request.path)
        if request.purpose is Purpose.SCORE:
            share = self._taken.get(request.path, 0) / len(self._problem.solution)
            return str(10 if solved else round(9 * share))
        if request.purpose is Purpose.SUBTASK_DONE:
            named = [i for i, step in enumerate(self._problem.solution) if f"Subtask: {step.subtask}" in question]
            return "Yes" if named and self._taken.get(request.path, 0) > named[-1] else "No"
        return "Yes" if solved else "No"

    def _solved(self, path: int) -> bool:
        return path >= self._weak_paths and self._taken.get(path, 0) == len(self._problem.solution)

    def _act(self, messages: Sequence[Message], request: Request) -> str:
        taken = self._count(messages, request.path)
        step = random.Random(f"{self._seed}/{request.path}/{request.step}")
        place = (request.path, request.step, request.branch)
        if request.path < self._weak_paths and taken == 0:
            self.strayed.add(place)
            self._taken[request.path] = 0
            question = self._problem.match is not None
            gives_up = Command("answer", "unknown") if question else Command("finish")
            return reply(self._style, "I stop here.", gives_up)
        lost = self._contested > 0 and step.random() < LOST
        contested = step.random() < self._contested
        if lost:
            self._taken[request.path] = taken
        if lost or (contested == (request.branch == 0) and (contested or request.branch)):
            self.strayed.add(place)
            thought, command = step.choice(_ASTRAY)
            return reply(self._style, thought, command)
        expert = self._problem.solution[min(taken, len(self._problem.solution) - 1)]
        return reply(self._style, expert.thought, _command(expert))

    def _count(self, messages: Sequence[Message], path: int) -> int:
        """How many steps of the solution stand in the path's messages, in order."""
        taken = 0
        for message in messages:
            if message.role == "assistant" and taken < len(self._problem.solution):
                taken += message.content.endswith(f"ACTION: {render(_command(self._problem.solution[taken]))}")
        self._taken[path] = min(taken + 1, len(self._problem.solution))
        return taken

    def _pick(self, question: str, path: int) -> int:
        """The candidate that is the solution's next step, else the first."""
        solution = self._problem.solution
        wanted = render(_command(solution[max(self._taken.get(path, 1), 1) - 1]))
        start = question.rfind("\n1. ")
        for line in re.split(r"\n(?=\d+\. )", question[start:]):
            numbered = _NUMBERED.match(line.strip().split("\n")[0])
            body = line.strip().partition(". ")[2]
            if numbered and " ".join(body.split()).startswith(" ".join(wanted.split())[:60]):
                return int(numbered.group(1))
        return 1


def _command(step: ExpertStep) -> Command:
    if step.script:
        return Command("bash", step.script)
    return Command("answer", step.answer) if step.answer else Command("finish")
