"""Agent data from a task's scripted expert: it plays through the real reasoning methods, and what was asked and
answered becomes training conversations.

A task takes part by a module `agentx.tasks.<name>.demonstrations` (see `agentx.tasks.demonstration.Demonstrate`).
"""

from __future__ import annotations

import asyncio
import importlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from types import ModuleType
from typing import Any

from agentx.construction.recording import Exchange, RecordingModel, conversations
from agentx.conversation import Conversation
from agentx.errors import ConfigError
from agentx.models.chat import Roles
from agentx.reasoning.method import EpisodeContext, Method
from agentx.reasoning.settings import BacktrackSettings, BudgetSettings, DecomposeSettings, MethodSettings
from agentx.tasks.demonstration import Demonstrate, Demonstration
from agentx.trajectory import Purpose

METHODS: dict[str, MethodSettings] = {
    "io": MethodSettings(name="io", style="io"),
    "cot": MethodSettings(name="cot", style="cot"),
    "react": MethodSettings(name="react", style="react"),
    "ours": MethodSettings(
        name="ours",
        style="react",
        num_path=2,
        num_branch=2,
        decompose=DecomposeSettings(enabled=True),
        backtrack=BacktrackSettings(enabled=True),
    ),
}
SHARES = {"io": 0.2, "cot": 0.2, "react": 0.4, "ours": 0.2}
"""of the demonstrated episodes; every format that evaluation may ask for is among them"""

WEAK = 0.5
"""share of the `ours` episodes whose first path is played badly"""
CONTESTED = 0.4
"""share of the `ours` episodes' steps at which the first candidate is the worse one"""

KEPT = {
    Purpose.ACT: 2,
    Purpose.PLAN: 1,
    Purpose.PICK: 1,
    Purpose.SUBTASK_DONE: 2,
    Purpose.TASK_DONE: 1,
    Purpose.SCORE: 1,
}
"""conversations kept of each purpose per episode: judge's questions are many and short, and where the history changes
every step (cot) each step is a conversation; unbounded, both would crowd out whole episodes"""


def demonstrate_with(task: str) -> Demonstrate:
    """The demonstrations of `task`. Raises ConfigError when the task has no scripted expert."""
    demonstrate: Demonstrate = demonstrations_of(task).demonstrate
    return demonstrate


def demonstrations_of(task: str) -> ModuleType:
    """The task's module of demonstrations. Raises ConfigError when the task has no scripted expert."""
    try:
        module = importlib.import_module(f"agentx.tasks.{task}.demonstrations")
    except ModuleNotFoundError as error:
        if error.name not in (f"agentx.tasks.{task}", f"agentx.tasks.{task}.demonstrations"):
            raise
        raise ConfigError(
            f"task={task}: has no training problems with a scripted expert, which data.agent=experts and job=construct "
            "need; name a file of conversations instead"
        ) from error
    return module


def playable(task: str) -> tuple[str, ...]:
    """The METHODS that the task's demonstrations can be played with: all, unless it names its own."""
    return tuple(getattr(demonstrations_of(task), "METHODS", METHODS))


def identity(task: str, settings: Any, shots: int) -> dict[str, Any]:
    """Everything but seed and count that decides what the demonstrations are."""
    return {
        "task": task,
        "settings": demonstrations_of(task).relevant_settings(settings),
        "shots": shots,
        "methods": {name: asdict(METHODS[name]) for name in playable(task)},
        "shares": SHARES,
        "kept": KEPT,
        "weak": WEAK,
        "contested": CONTESTED,
    }


def expert_conversations(
    task: str, settings: Any, count: int, seed: int, shots: int, methods: Iterable[str] = tuple(METHODS)
) -> list[Conversation]:
    """Conversations of `count` demonstrated episodes of `task`; the same arguments give the same ones.

    Only episodes that end in success are kept: a scripted expert's failure is nothing to learn from.
    """
    return asyncio.run(_record(task, settings, count, seed, shots, tuple(methods)))


async def _record(
    task: str, settings: Any, count: int, seed: int, shots: int, methods: tuple[str, ...]
) -> list[Conversation]:
    demonstrate = demonstrate_with(task)
    methods = tuple(name for name in methods if name in playable(task))
    found: list[Conversation] = []
    for index in range(count):
        rng = random.Random(f"{seed}/{index}")
        name = rng.choices(methods, [SHARES[method] for method in methods])[0]
        method = Method(replace(METHODS[name], shots=shots, multiline_actions=settings.multiline_actions))
        searching = name == "ours"
        demonstration = demonstrate(
            settings,
            index=index,
            seed=seed,
            style=method.settings.style,
            shots=shots,
            weak_paths=int(searching and rng.random() < WEAK),
            contested=CONTESTED if searching else 0.0,
        )
        exchanges = await _play(demonstration, method, seed)
        found += keep(conversations(exchanges, f"{task}-experts", f"{demonstration.id}-{name}"), rng)
    return found


async def _play(demonstration: Demonstration, method: Method, seed: int) -> list[Exchange]:
    """The episode's exchanges worth keeping; none when the expert failed."""
    recorder = RecordingModel(demonstration.expert)
    context = EpisodeContext(seed, demonstration.id, 0, demonstration.opening)
    try:
        trajectory = await method.solve(demonstration.environment, Roles.all_one(recorder), BudgetSettings(), context)
    finally:
        await demonstration.environment.close()
    if not trajectory.success:
        return []
    return [
        replace(exchange, trained=not _strayed(exchange, demonstration))
        for exchange in recorder.exchanges
        if exchange.request.branch == 0  # further candidates are there to be chosen from, not to be learnt
    ]


def _strayed(exchange: Exchange, demonstration: Demonstration) -> bool:
    request = exchange.request
    return request.purpose is Purpose.ACT and (request.path, request.step, request.branch) in demonstration.strayed


def keep(recorded: Sequence[Conversation], rng: random.Random) -> list[Conversation]:
    """At most KEPT conversations of each purpose, different answers first (a judge who only ever says No teaches
    nothing), the longest dialogues before pieces of them."""
    kept: list[Conversation] = []
    for purpose, most in KEPT.items():
        group = [c for c in recorded if purpose in c.metadata["purpose"]]
        rng.shuffle(group)
        if purpose is Purpose.ACT:
            group.sort(key=lambda c: -sum(message.trained for message in c.messages))
        answers: set[str] = set()
        first: list[Conversation] = []
        repeated: list[Conversation] = []
        for conversation in group:
            answer = conversation.messages[-1].content
            (repeated if answer in answers else first).append(conversation)
            answers.add(answer)
        kept += [*first, *repeated][:most]
    return kept
