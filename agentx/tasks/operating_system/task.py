"""The operating-system task: its problems, environments, prompts and scores."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from agentx.conversation import Message
from agentx.tasks.environment import Sample
from agentx.tasks.operating_system import families, official, prompts
from agentx.tasks.operating_system.agentbench_prompt import AgentBenchPrompt, read_prompt
from agentx.tasks.operating_system.environment import OperatingSystemEnvironment
from agentx.tasks.operating_system.preparation import sandboxes
from agentx.tasks.operating_system.problems import Problem, needs_user_ids
from agentx.tasks.operating_system.settings import Settings
from agentx.trajectory import Trajectory

log = logging.getLogger(__name__)

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
    about: dict[str, Any] = field(default_factory=dict)
    """what sandboxes start from here, for the cell's provenance"""
    wording: AgentBenchPrompt | None = None
    """AgentBench's prompt, where it is used"""
    name: str = "operating_system"
    success_threshold: float = 1.0

    def opening(self, sample: Sample, style: str, shots: int) -> list[Message]:
        """AgentBench's worked example is always shown, whatever `shots`."""
        if self.wording is not None:
            return list(self.wording.opening)
        return prompts.opening(style, shots, self.settings.prompt, self.settings.max_rounds)

    async def open(self, sample: Sample) -> OperatingSystemEnvironment:
        return OperatingSystemEnvironment(self.problems[sample.id], self.settings, wording=self.wording)

    def statements(self) -> dict[str, str]:
        """What each sample asks for, by its id: to find evaluation samples among training data."""
        return {name: problem.description for name, problem in self.problems.items()}

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
    wording = read_prompt(paths.agentbench) if settings.replies == "agentbench" else None
    there = sandboxes(settings.sandbox, settings.root_tree, settings.image)
    about = dict(there.about)
    if settings.source == "official":
        found = official.read_problems(paths.agentbench, settings.split)
        lost = [] if there.several_ids else [problem.id for problem in found if needs_user_ids(problem)]
        if lost:
            log.warning("Left out, since this sandbox has a single user id: %s", ", ".join(lost))
            about["left_out"] = lost
        chosen = [problem for problem in found if problem.id not in lost][: settings.samples]
        part = "" if len(chosen) == len(found) else f", {len(chosen)} of {len(found)}"
        own = ", own prompt" if wording is None else ""
        label = f"OS ({_LABELS[settings.split]}{part}, {there.name}{own})"
    else:
        kinds = () if there.several_ids else families.NEED_USER_IDS
        made = (families.generate(settings.split, settings.seed, index) for index in itertools.count())
        chosen = list(itertools.islice((problem for problem in made if problem.kind not in kinds), settings.samples))
        label = f"operating_system (generated, {there.name}{', without ' + ', '.join(kinds) if kinds else ''})"
    samples = [Sample(problem.id, "api", settings.split, problem.kind) for problem in chosen]
    return OperatingSystemTask(settings, label, {problem.id: problem for problem in chosen}, samples, about, wording)
