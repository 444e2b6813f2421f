"""Demonstrations of the Mind2Web task: the expert on generated pages of the training websites."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agentx.errors import ConfigError
from agentx.tasks.demonstration import Demonstration
from agentx.tasks.mind2web import prompts
from agentx.tasks.mind2web.environment import Mind2WebEnvironment
from agentx.tasks.mind2web.expert_model import ExpertModel
from agentx.tasks.mind2web.generator import generate_task
from agentx.tasks.mind2web.page import find, page_text, parse_page, prune
from agentx.tasks.mind2web.samples import WebStep
from agentx.tasks.mind2web.settings import Settings
from agentx.tasks.mind2web.task import worked_examples

MISTAKES = 0.05
"""chance of a deliberate wrong answer, in half of the episodes; such answers are shown but not trained on"""


def relevant_settings(settings: Settings) -> dict[str, Any]:
    """What a demonstration depends on; the pages that are evaluated are not among it."""
    names = ("top_k", "choices", "rules", "replies", "prompt")
    return {name: getattr(settings, name) for name in names} | {"mistakes": MISTAKES}


def demonstrate(
    settings: Settings, *, index: int, seed: int, style: str, shots: int, weak_paths: int, contested: float
) -> Demonstration:
    """See `agentx.construction.demonstrations.Demonstrate`. One step of a training task, the steps in turn."""
    if settings.replies == "agentbench":
        raise ConfigError("task.replies=agentbench: the expert (data.agent=experts) has action replies only; use those")
    steps = generate_task("train", _page_seed(seed), index)
    step = steps[index % len(steps)]
    played = replace(settings, source="generated", split="train", scores="own", ranker=None, samples=1, seed=seed)
    environment = Mind2WebEnvironment(step, played, prompts.observe)
    mistakes = MISTAKES if index % 2 else 0.0
    expert = ExpertModel(environment, step, style, mistakes=mistakes, weak_paths=weak_paths, contested=contested)
    return Demonstration(
        id=step.id,
        environment=environment,
        expert=expert,
        opening=prompts.opening(style, shots, settings.prompt, worked_examples() if shots else ()),
        strayed=expert.strayed,
        kind=step.operation,
        background=_background(step, settings),
    )


def _page_seed(seed: int) -> int:
    """Other pages than the generated training split has for the same seed."""
    return (seed + 29) * 6_700_417


def _background(step: WebStep, settings: Settings) -> str:
    """Every element that may be asked about, and the action that is right."""
    positives, negatives = step.candidates(settings.top_k)
    page = parse_page(step.html, step.where)
    _, choices = page_text(prune(page, list(find(page, [*positives, *negatives]).values())))
    elements = "\n".join(f"- {text}{' (the right one)' if node in positives else ''}" for node, text in choices)
    return (
        f"The elements that are asked about, at most {settings.choices} in one question:\n{elements}\n"
        f"What is to be done with the right one: {step.target}"
    )
