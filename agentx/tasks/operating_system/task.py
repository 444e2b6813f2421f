"""The operating-system task: its problems, environments, prompts and scores."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agentx.conversation import Message
from agentx.errors import UserError
from agentx.tasks.environment import Sample
from agentx.tasks.operating_system import families, official, prompts
from agentx.tasks.operating_system.environment import OperatingSystemEnvironment
from agentx.tasks.operating_system.problems import Problem
from agentx.tasks.operating_system.root_tree import supported
from agentx.tasks.operating_system.settings import Settings
from agentx.trajectory import Trajectory

_LABELS = {"dev": "dev", "standard": "std"}


class Paths(Protocol):
    """Where data are; may be None where it is not needed."""

    @property
    def agentbench(self) -> Path | None: ...


@dataclass(frozen=True)
class OperatingSystemTask:
    """Satisfies `agentx.tasks.environment.Task`."""

    settings: Settings
    label: str
    problems: dict[str, Problem]
    samples: Sequence[Sample]
    name: str = "operating_system"
    success_threshold: float = 1.0

    def opening(self, sample: Sample, style: str, shots: int) -> list[Message]:
        return prompts.opening(style, shots, self.settings.prompt, self.settings.max_rounds)

    async def open(self, sample: Sample) -> OperatingSystemEnvironment:
        return OperatingSystemEnvironment(self.problems[sample.id], self.settings)

    def aggregate(self, trajectories: Sequence[Trajectory]) -> dict[str, float]:
        """Success rate over all results (AgentBench) and, of generated problems, within each family."""
        kinds = {sample.id: sample.kind for sample in self.samples}
        solved: dict[str, list[bool]] = {}
        for trajectory in trajectories:
            keys = ["success_rate"]
            if self.settings.source == "generated":
                keys.append(f"success_rate/{kinds[trajectory.sample]}")
            for key in keys:
                solved.setdefault(key, []).append(trajectory.reward >= self.success_threshold)
        return {key: sum(values) / len(values) for key, values in sorted(solved.items())}


def make_task(settings: Settings, paths: Paths) -> OperatingSystemTask:
    """The task as configured.

    Raises UserError where this machine cannot run the sandbox and TaskDataError when official data are missing.
    """
    reason = supported()
    if reason is not None:
        raise UserError(f"task.sandbox={settings.sandbox}: {reason}")
    if settings.source == "official":
        found = official.read_problems(paths.agentbench, settings.split)
        chosen = found[: settings.samples]
        part = "" if len(chosen) == len(found) else f", {len(chosen)} of {len(found)}"
        label = f"OS ({_LABELS[settings.split]}{part}, host's /usr)"
    else:
        lost = families.NEED_USER_IDS if os.geteuid() else ()
        made = (families.generate(settings.split, settings.seed, index) for index in itertools.count())
        chosen = list(itertools.islice((problem for problem in made if problem.kind not in lost), settings.samples))
        label = f"operating_system (generated, host's /usr{', without ' + ', '.join(lost) if lost else ''})"
    samples = [Sample(problem.id, "api", settings.split, problem.kind) for problem in chosen]
    return OperatingSystemTask(settings, label, {problem.id: problem for problem in chosen}, samples)
