"""Demonstrations of the household task: the scripted expert in simulated rooms on the training floor plans."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

from agentx.conversation import Conversation
from agentx.tasks.demonstration import Demonstration
from agentx.tasks.household.environment import HouseholdEnvironment
from agentx.tasks.household.expert_model import ExpertModel, Style
from agentx.tasks.household.layouts import Split
from agentx.tasks.household.prompts import opening
from agentx.tasks.household.room import random_room
from agentx.tasks.household.settings import Settings
from agentx.tasks.household.simulated_state import SimulatedState
from agentx.tasks.household.simulator import SimulatedEngine
from agentx.tasks.household.text_versions import mismatch, prompt_in

MISTAKES = 0.08
"""chance of a deliberate wrong turn, in half of the episodes; such turns are shown but not trained on"""
ROUNDS = 35
"""rounds a path has, whatever an evaluation allows: an expert needs about ten"""
WEAK_ROUNDS = 12
"""rounds a path has where the first is to fail: given more, even a bad player gets there"""


def relevant_settings(settings: Settings) -> dict[str, Any]:
    """What a demonstration depends on; the games that are evaluated are not among it."""
    names = ("task_types", "receptacles", "objects", "text", "prompt", "matching")
    return {name: getattr(settings, name) for name in names} | {
        "mistakes": MISTAKES,
        "rounds": [ROUNDS, WEAK_ROUNDS],
    }


def demonstrate(
    settings: Settings, *, index: int, seed: int, style: str, shots: int, weak_paths: int, contested: float
) -> Demonstration:
    """See `agentx.construction.demonstrations.Demonstrate`."""
    task_type = settings.task_types[index % len(settings.task_types)]
    room_seed = _room_seed(seed, index)
    room = random_room(room_seed, task_type, "train", settings.receptacles, settings.objects)
    engine = SimulatedEngine(room)
    expert = ExpertModel(
        engine.state,
        cast(Style, style),
        seed=room_seed,
        mistakes=MISTAKES if index % 2 else 0.0,
        weak_paths=weak_paths,
        contested=contested,
        text=settings.text,
    )
    rounds = WEAK_ROUNDS if weak_paths else ROUNDS
    played = replace(settings, split="train", source="generated", max_rounds=rounds)
    return Demonstration(
        id=f"train-{seed}-{index:05d}-{task_type}-{room.floor_plan}",
        environment=HouseholdEnvironment(lambda: engine, played),
        expert=expert,
        opening=prompt_in(settings.text, opening(task_type, style, shots, settings.prompt)),
        strayed=expert.strayed,
        kind=task_type,
    )


def _room_seed(seed: int, index: int) -> int:
    """Other rooms than the pretraining text and the generated training games have, whatever their seeds."""
    return (seed + 17) * 7_368_787 + index


def foreign_actions(settings: Settings, conversations: Iterable[Conversation]) -> tuple[list[str], int]:
    """The actions in household conversations that no game offers in this text version, and how many actions there
    are in all: agents tuned on the one text fail on the other."""
    games = [c for c in conversations if any("Your task is to:" in m.content for m in c.messages if m.role == "user")]
    replies = [message.content for c in games for message in c.messages if message.role == "assistant"]
    return mismatch(replies, settings.text), sum("ACTION:" in reply for reply in replies)


def evaluated_problems(settings: Settings, paths: Any, count: int) -> list[tuple[str, str]]:
    """(id, first observation) of the games that are evaluated with these settings, at most `count` of them. Generated
    ones are told from their rooms, without the engine."""
    if settings.source == "official":
        return _official_problems(settings, paths, count)
    found = []
    for index in range(min(count, settings.samples or 0)):
        task_type = settings.task_types[index % len(settings.task_types)]
        split = cast(Split, settings.split)
        room = random_room(settings.seed * 1_000_003 + index, task_type, split, settings.receptacles, settings.objects)
        found.append((f"{split}-{settings.seed}-{index:05d}", SimulatedState(room).restart()))
    return found


def _official_problems(settings: Settings, paths: Any, count: int) -> list[tuple[str, str]]:
    from agentx.tasks.household.engine import Engine  # textworld takes a second to import
    from agentx.tasks.household.official import read_game
    from agentx.tasks.household.task import make_task

    found = []
    for sample, path in list(make_task(settings, paths).files.items())[:count]:
        engine = Engine(read_game(path))
        found.append((sample, engine.reset().feedback.partition("\n\n")[2]))
        engine.close()
    return found
