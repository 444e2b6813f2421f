"""Demonstrations of the operating-system task: reference solutions of training problems, in real sandboxes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agentx.tasks.demonstration import Demonstration
from agentx.tasks.operating_system.environment import OperatingSystemEnvironment
from agentx.tasks.operating_system.expert_model import LOST, ExpertModel
from agentx.tasks.operating_system.families import FAMILIES, generate
from agentx.tasks.operating_system.prompts import opening
from agentx.tasks.operating_system.settings import Settings

ROUNDS = 8
"""rounds a path has, whatever an evaluation allows"""


def relevant_settings(settings: Settings) -> dict[str, Any]:
    """What a demonstration depends on; the problems that are evaluated are not among it."""
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
    )
