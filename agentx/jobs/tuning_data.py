"""The conversations that `data.agent` and `data.general` name: generated sets by name, anything else by path."""

from __future__ import annotations

import json
import logging
import random
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agentx.config import EXPERTS_OF, Config, shipped_settings
from agentx.conversation import Conversation
from agentx.errors import UserError
from agentx.jobs import cells
from agentx.jobs.claims import claimed

log = logging.getLogger(__name__)

CONSTRUCTED = "constructed"
"""Folder of paths.output in which job=construct leaves its conversations as JSON lines."""


@dataclass
class TuningSets:
    """The conversations of both sides of λ, and what was left out of them."""

    agent: list[Conversation]
    general: list[Conversation]
    skipped: dict[str, list[str]] = field(default_factory=lambda: {"agent": [], "general": []})
    """broken records left out, by side: place and reason of each"""


def tuning_data(config: Config, *, both: bool = False) -> TuningSets:
    """What `data.agent` and `data.general` name; a side that λ never draws from is left empty unless `both`.

    Raises UserError or ConfigError for sets that do not exist and for broken records.
    """
    sets = TuningSets([], [])
    for side, share in (("agent", config.agent_ratio), ("general", 1 - config.agent_ratio)):
        for name in getattr(config.data, side) if both or share > 0 else []:
            conversations, skipped = _conversations(name, config)
            getattr(sets, side).extend(_limited(conversations, config))
            sets.skipped[side].extend(skipped)
    _warn_of_foreign_actions(config, sets.agent)
    return sets


def _limited(conversations: list[Conversation], config: Config) -> list[Conversation]:
    """At most `data.limit` of a set, at random but in their order."""
    limit = config.data.limit
    if limit is None or limit >= len(conversations):
        return conversations
    chosen = sorted(random.Random(config.data.seed).sample(range(len(conversations)), limit))
    return [conversations[index] for index in chosen]


def _warn_of_foreign_actions(config: Config, agent: list[Conversation]) -> None:
    """Say before anything starts that the data speak of actions the task never offers, where the task can tell."""
    name = f"agentx.tasks.{config.task.name}.demonstrations"
    foreign_actions = getattr(import_module(name), "foreign_actions", None) if find_spec(name) else None
    if foreign_actions is None:
        return
    # Demonstrations of other tasks are there on purpose.
    own = [c for c in agent if not c.source.endswith("-experts") or c.source == f"{config.task.name}-experts"]
    foreign, actions = foreign_actions(config.task, own)
    if foreign:
        log.warning(
            "warning: %d of %d actions in the agent data are never possible in task=%s with these settings, e.g. %r; "
            "an agent tuned on another wording fails. For household games set task.text to the data's version",
            len(foreign),
            actions,
            config.task.name,
            foreign[0],
        )


def _conversations(name: str, config: Config) -> tuple[list[Conversation], list[str]]:
    """The set's conversations and the records that were skipped."""
    if name == "experts":
        return _experts(config, config.task), []
    if name.startswith(EXPERTS_OF):
        return _experts(config, shipped_settings(config, name.removeprefix(EXPERTS_OF))), []
    if name == "skills":
        from agentx.pretraining.skills import general_conversations

        return list(general_conversations(config.data.skills_size, config.data.seed)), []
    from agentx.tuning.datasets import read_conversations
    from agentx.tuning.known_sets import read_set

    if name == "constructed":
        made = config.paths.output / CONSTRUCTED
        if not made.is_dir():
            raise UserError(
                f"data.agent=[constructed]: nothing has been constructed in {made}; run job=construct first, or name "
                "the file it wrote elsewhere"
            )
        data = read_conversations(made, config.data.on_error)
    else:
        data = read_set(name, config.data.on_error, config.paths.datasets)
    if data.skipped:
        log.warning(
            "%s: %d broken records skipped (data.on_error=skip), the first: %s",
            name,
            len(data.skipped),
            data.skipped[0],
        )
    return data.conversations, data.skipped


def _experts(config: Config, task: Any) -> list[Conversation]:
    """The conversations of a task's scripted expert, made once for the same settings and kept as JSON lines; `task`
    are the task's settings."""
    from agentx.construction.demonstrations import demonstrate_with, expert_conversations, identity

    count, seed, shots = config.data.experts_size, config.data.seed, config.teacher.shots
    demonstrate_with(task.name)
    described = {**identity(task.name, task, shots), "count": count, "seed": seed}
    described |= {"prompts": cells.prompts_fingerprint(task.name), "code": cells.code_fingerprint(task.name)}
    path = config.paths.output / "data" / f"{task.name}-experts-{cells.fingerprint(described)}.jsonl"
    with claimed(path, dead_after=config.sweep.dead_after):
        if path.exists():
            return _read(path)
        log.info("playing %d training episodes of %s with the scripted expert", count, task.name)
        made = expert_conversations(task.name, task, count, seed, shots)
        temporary = path.with_suffix(".part")
        with temporary.open("w", encoding="utf-8") as file:
            for conversation in made:
                file.write(json.dumps(conversation.to_dict(), ensure_ascii=False) + "\n")
        temporary.replace(path)
    log.info("%d conversations in %s", len(made), path)
    return made


def _read(path: Path) -> list[Conversation]:
    with path.open(encoding="utf-8") as file:
        return [Conversation.from_dict(json.loads(line)) for line in file]
