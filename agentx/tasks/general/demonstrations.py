"""Demonstrations of the general suite: questions of the training split with their answers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from random import Random
from typing import Any

from agentx.conversation import Message
from agentx.models.chat import Request
from agentx.tasks.demonstration import Demonstration, ScriptedModel
from agentx.tasks.general import suite
from agentx.tasks.general.environment import GeneralEnvironment
from agentx.tasks.general.questions import Question
from agentx.tasks.general.settings import Settings
from agentx.tasks.general.task import GeneralTask, sample_of

METHODS = ("io",)
"""of those that demonstrations are played with: one question and one reply leave nothing to plan or judge"""


class ExpertModel(ScriptedModel):
    """Gives the right answer."""

    def __init__(self, question: Question) -> None:
        super().__init__("general-expert")
        self._question = question

    def reply(self, messages: Sequence[Message], request: Request) -> str:
        return self._question.expected


def relevant_settings(settings: Settings) -> dict[str, Any]:
    """What a demonstration depends on; a file of one's own is only asked, never trained on."""
    return {"skills": list(settings.skills), "instruction": settings.instruction}


def demonstrate(
    settings: Settings, *, index: int, seed: int, style: str, shots: int, weak_paths: int, contested: float
) -> Demonstration:
    """See `agentx.construction.demonstrations.Demonstrate`."""
    names = settings.skills if settings.skills and settings.path is None else suite.skills()
    rng = Random(f"general-demonstration:{seed}:{index}")
    skill = rng.choice(list(names))
    (question,) = islice(suite.questions(skill, rng.randrange(1 << 31), "train"), 1)
    played = Settings(instruction=settings.instruction)
    task = GeneralTask(played, "", (), {question.id: question})
    return Demonstration(
        id=f"train-{seed}-{index:05d}-{question.id}",
        environment=GeneralEnvironment(question, played),
        expert=ExpertModel(question),
        opening=task.opening(sample_of(question), style, shots),
    )
