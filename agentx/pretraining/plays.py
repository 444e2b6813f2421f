"""Play of the tool tasks as plain text: pages, tables and shells as their experts meet them.

The experts play the generated training splits through the real method, so an episode takes milliseconds to a tenth of
a second; the plays of a run are therefore made once, kept in a file, and told in a new layout each time one is drawn.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from agentx.construction.demonstrations import METHODS, demonstrate_with
from agentx.conversation import Conversation, Message
from agentx.models.chat import Roles
from agentx.pretraining.held_out import NGRAM, statements
from agentx.pretraining.narration import Narration, marks
from agentx.reasoning.method import EpisodeContext, Method
from agentx.reasoning.settings import BudgetSettings
from agentx.tasks.demonstration import Demonstration
from agentx.trajectory import Path as Attempt
from agentx.tuning.contamination import find_overlaps

log = logging.getLogger(__name__)

TASKS = ("database", "operating_system", "webshop", "mind2web")
AT_ONCE = 4
LONG, LONG_ENDING = 2400, 400
"""characters of a told play, and of its last page"""
SEED = 900_000
"""added to the run's seed: other samples than those that tuning data with small seeds is made of"""


@dataclass(frozen=True)
class Play:
    """(observation, thought, action) of each turn, and what was seen at the end."""

    task: str
    turns: tuple[tuple[str, str, str], ...]
    ending: str


def archive(path: Path, count: int, seed: int) -> list[Play]:
    """The plays in `path`; they are made first where the file is missing: `count` of each task, the failed left out.

    Raises ConfigError where the sandbox of the operating system task does not work.
    """
    if not path.exists():
        log.info("pretrain: recording %d plays of each of %s", count, ", ".join(TASKS))
        partial = path.with_suffix(".partial")
        with partial.open("w") as file:
            for task in TASKS:
                for play in record(task, count, seed):
                    file.write(json.dumps([play.task, play.turns, play.ending]) + "\n")
        os.replace(partial, path)
    with path.open() as file:
        return [_read(line) for line in file]


def _read(line: str) -> Play:
    task, turns, ending = json.loads(line)
    return Play(task, tuple((observation, thought, action) for observation, thought, action in turns), ending)


def record(task: str, count: int, seed: int) -> Iterator[Play]:
    """The plays 0 … count-1 of `task` that succeeded and tell no held-out sample; play i does not depend on `count`."""
    for play in asyncio.run(_record(task, count, seed)):
        text = "\n".join(observation for observation, _, _ in play.turns)
        overlaps = find_overlaps(statements(task), [Conversation((Message("user", text),), task, "")], NGRAM)
        if not any(overlap.share == 1 for overlap in overlaps):
            yield play


async def _record(task: str, count: int, seed: int) -> list[Play]:
    settings: Any = importlib.import_module(f"agentx.tasks.{task}.settings").Settings(prompt="compact")
    demonstrate = demonstrate_with(task)
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(index: int) -> Play | None:
        async with slots:
            demonstration = demonstrate(
                settings, index=index, seed=SEED + seed, style="react", shots=0, weak_paths=0, contested=0.0
            )
            return await _play(task, demonstration, settings.multiline_actions)

    found = await asyncio.gather(*(one(index) for index in range(count)))
    return [play for play in found if play is not None]


async def _play(task: str, demonstration: Demonstration, multiline: bool) -> Play | None:
    settings = METHODS["react"]
    method = Method(
        type(settings)(**{**vars(settings), "multiline_actions": multiline}),
    )
    context = EpisodeContext(SEED, demonstration.id, 0, demonstration.opening)
    try:
        trajectory = await method.solve(
            demonstration.environment, Roles.all_one(demonstration.expert), BudgetSettings(), context
        )
    finally:
        await demonstration.environment.close()
    if not trajectory.success or demonstration.strayed:
        return None
    return _transcript(task, demonstration, trajectory.paths[trajectory.selected])


def _transcript(task: str, demonstration: Demonstration, attempt: Attempt) -> Play:
    # The instruction to an agent is left out: how to reply in a chat is what tuning teaches.
    instruction = demonstration.opening[-1].content if demonstration.opening else ""
    observation = attempt.opening[-1]["content"].removeprefix(instruction).strip()
    turns = []
    for step in attempt.steps:
        turns.append((observation, step.candidate.thought, step.candidate.action or ""))
        observation = step.observation
    return Play(task, tuple(turns), observation)


def tell(play: Play, rng: Random) -> Narration:
    """The play as plain text in a layout drawn by `rng`, like the household's. Of a long one some turns are told."""
    observed, thought_mark, commanded, thoughtful, one_line = marks(rng)
    parts = []
    first, last = _window(play, rng)
    for observation, thought, action in play.turns[first:last]:
        parts.append(f"{observed} {observation}" if observed else observation)
        said = f"{thought_mark} {thought}{' ' if one_line else chr(10)}" if thoughtful and thought else ""
        parts.append(f"{said}{commanded} {action}")
    if play.ending and last == len(play.turns) and len(play.ending) < LONG_ENDING:
        parts.append(f"{observed} {play.ending}".strip())
    return Narration((("\n".join(parts), True),))


def _window(play: Play, rng: Random) -> tuple[int, int]:
    """Turns to tell: all, or as many as `LONG` characters hold from a drawn one on. Shops repeat their pages."""
    sizes = [sum(map(len, turn)) for turn in play.turns]
    if sum(sizes) <= LONG:
        return 0, len(sizes)
    first = last = rng.randrange(len(sizes))
    while last < len(sizes) and (last == first or sum(sizes[first : last + 1]) <= LONG):
        last += 1
    return first, last
