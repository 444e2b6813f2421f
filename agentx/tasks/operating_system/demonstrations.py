"""Demonstrations of the operating-system task: reference solutions of training problems, in real sandboxes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agentx.errors import ConfigError
from agentx.tasks.demonstration import Demonstration
from agentx.tasks.operating_system.environment import OperatingSystemEnvironment
from agentx.tasks.operating_system.expert_model import LOST, ExpertModel
from agentx.tasks.operating_system.families import FAMILIES, generate
from agentx.tasks.operating_system.problems import Problem
from agentx.tasks.operating_system.prompts import opening
from agentx.tasks.operating_system.settings import Settings
from agentx.tasks.operating_system.task import make_task

ROUNDS = 8
"""rounds a path has, whatever an evaluation allows"""


def relevant_settings(settings: Settings) -> dict[str, Any]:
    """What a demonstration depends on; the problems that are evaluated are not among it."""
    if settings.replies == "agentbench":
        raise ConfigError("task.replies=agentbench: the expert (data.agent=experts) has action replies only; use those")
    return {
        "prompt": settings.prompt,
        "output_chars": settings.output_chars,
        "rounds": ROUNDS,
        "families": list(FAMILIES),
        "lost": LOST,
    }


def demonstrate(
    settings: Settings, *, index: int, seed: int, style: str, shots: int, weak_paths: int, contested: float
) -> Demonstration:
    """See `agentx.construction.demonstrations.Demonstrate`."""
    problem = generate("train", seed, index)
    expert = ExpertModel(problem, style, seed=seed * 7919 + index, weak_paths=weak_paths, contested=contested)
    played = replace(settings, split="train", source="generated", samples=1, max_rounds=ROUNDS)
    return Demonstration(
        id=problem.id,
        environment=OperatingSystemEnvironment(problem, played),
        expert=expert,
        opening=opening(style, shots, settings.prompt, ROUNDS),
        strayed=expert.strayed,
        kind=problem.kind,
        background=_background(problem),
    )


def _background(problem: Problem) -> str:
    """The scripts that set the machine up."""
    scripts = [script.code for script in problem.init] + ([problem.start] if problem.start else [])
    return "The machine was set up with this script:\n" + "\n".join(scripts) if scripts else ""


def evaluated_problems(settings: Settings, paths: Any, count: int) -> list[tuple[str, str]]:
    """(id, first observation) of the problems that are evaluated with these settings, at most `count`; no sandbox."""
    problems = list(make_task(settings, paths).problems.items())[:count]
    return [(name, f"TASK: {problem.description}") for name, problem in problems]
