"""The general suite as a task: what a model can do apart from acting, and what tuning on agent data costs of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from agentx.conversation import Message
from agentx.errors import ConfigError
from agentx.tasks.environment import Sample
from agentx.tasks.general import suite
from agentx.tasks.general.environment import GeneralEnvironment
from agentx.tasks.general.files import read_questions
from agentx.tasks.general.questions import Question
from agentx.tasks.general.settings import Settings
from agentx.trajectory import Trajectory


@dataclass(frozen=True)
class GeneralTask:
    """Satisfies `agentx.tasks.environment.Task`."""

    settings: Settings
    label: str
    samples: Sequence[Sample]
    questions: Mapping[str, Question]
    """by sample id"""
    shown: Sequence[Question] = ()
    """the file's worked examples"""
    name: str = "general"
    success_threshold: float = 1.0

    def opening(self, sample: Sample, style: str, shots: int) -> list[Message]:
        """Instruction, worked examples and earlier turns of the dialogue, where there are any. The suite's examples
        are of the question's skill, from the training split; a file's are the records marked so, and a file without
        any has none, whatever `shots`.

        Raises ConfigError on shots that cannot be had.
        """
        question = self.questions[sample.id]
        asked = [text for text in (self.settings.instruction, _formats().get(style)) if text]
        messages: list[Message] = []
        for example in self._examples(question, style, shots):
            said = "\n".join([*asked, example.asked])
            messages += [*example.before, Message("user", said), Message("assistant", example.expected)]
        messages += question.before
        return [*messages, Message("user", "\n".join(asked))] if asked else messages

    def _examples(self, question: Question, style: str, shots: int) -> Sequence[Question]:
        if not shots or (self.settings.path is not None and not self.shown):
            return ()
        if style != "io":
            raise ConfigError(f"method.shots={shots}: task=general has worked examples for method=io alone; use 0")
        if self.settings.path is None:
            return suite.examples(question.skill, self.settings.seed, shots)
        if shots > len(self.shown):
            raise ConfigError(f"method.shots={shots}: {self.settings.path} marks {len(self.shown)} records as example")
        return self.shown[:shots]

    async def open(self, sample: Sample) -> GeneralEnvironment:
        return GeneralEnvironment(self.questions[sample.id], self.settings)

    def statements(self) -> dict[str, str]:
        """What each sample asks, by its id: to find evaluation samples among training data."""
        return {name: question.text for name, question in self.questions.items()}

    def aggregate(self, trajectories: Sequence[Trajectory]) -> dict[str, float]:
        """Shares of right answers: of all questions (micro), the mean over skills (macro), and by area of skills."""
        if not trajectories:
            return {}
        by_skill: dict[str, list[float]] = defaultdict(list)
        by_area: dict[str, list[float]] = defaultdict(list)
        for trajectory in trajectories:
            skill = self.questions[trajectory.sample].skill
            by_skill[skill].append(trajectory.reward)
            if self.settings.path is None:
                by_area[suite.area_of(skill)].append(trajectory.reward)
        metrics = {
            "accuracy_micro": _mean([trajectory.reward for trajectory in trajectories]),
            "accuracy_macro": _mean([_mean(rewards) for rewards in by_skill.values()]),
        }
        return metrics | {area: _mean(rewards) for area, rewards in by_area.items()}


def make_task(settings: Settings, paths: Any) -> GeneralTask:
    """The task as configured. Raises TaskDataError for a file that is missing or broken, ConfigError for skills that
    do not exist."""
    shown: Sequence[Question] = ()
    if settings.path is None:
        asked = suite.held_out(settings.samples or 0, settings.seed, tuple(settings.skills))
        label = "general (generated)"
    else:
        found, shown = read_questions(settings.path)
        asked = [question for question in found if not settings.skills or question.skill in settings.skills]
        if not asked:
            raise ConfigError(f"task.skills={settings.skills}: no question in {settings.path} is of these skills")
        wanted = len(asked)
        asked = asked[: settings.samples]
        label = f"general ({settings.path.name}{f', {len(asked)} of {wanted}' if len(asked) < wanted else ''})"
    return GeneralTask(
        settings,
        label=label,
        samples=[sample_of(question) for question in asked],
        questions={question.id: question for question in asked},
        shown=shown,
    )


def sample_of(question: Question) -> Sample:
    return Sample(question.id, "general", "test", question.skill)


@cache
def _formats() -> dict[str, str]:
    text = resources.files(__package__).joinpath("prompts.yaml").read_text(encoding="utf-8")
    formats: dict[str, str] = yaml.safe_load(text)["formats"]
    return formats


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
