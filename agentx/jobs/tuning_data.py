"""The conversations that `data.agent` and `data.general` name: generated sets by name, anything else by path."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock

from agentx.config import Config
from agentx.conversation import Conversation
from agentx.jobs import cells, ranks

log = logging.getLogger(__name__)


def tuning_data(config: Config) -> tuple[list[Conversation], list[Conversation]]:
    """(agent, general) conversations; a set that λ never draws from is left empty.

    Raises UserError or ConfigError for sets that do not exist and for broken records.
    """
    names = (
        config.data.agent if config.agent_ratio > 0 else [],
        config.data.general if config.agent_ratio < 1 else [],
    )
    agent, general = ([c for name in chosen for c in _conversations(name, config)] for chosen in names)
    _warn_of_foreign_actions(config, agent)
    return agent, general


def _warn_of_foreign_actions(config: Config, agent: list[Conversation]) -> None:
    """Say before anything starts that the data speak of actions the task never offers, where the task can tell."""
    name = f"agentx.tasks.{config.task.name}.demonstrations"
    foreign_actions = getattr(import_module(name), "foreign_actions", None) if find_spec(name) else None
    if foreign_actions is None:
        return
    foreign, actions = foreign_actions(config.task, agent)
    if foreign:
        log.warning(
            "warning: %d of %d actions in the agent data are never possible in task=%s with these settings, e.g. %r; "
            "an agent tuned on another wording fails. For household games set task.text to the data's version",
            len(foreign),
            actions,
            config.task.name,
            foreign[0],
        )


def _conversations(name: str, config: Config) -> list[Conversation]:
    if name == "experts":
        return _experts(config)
    if name == "skills":
        from agentx.pretraining.skills import general_conversations

        return list(general_conversations(config.data.skills_size, config.data.seed))
    from agentx.tuning.datasets import read_conversations

    data = read_conversations(name, config.data.on_error)
    if data.skipped:
        log.warning(
            "%s: %d broken records skipped (data.on_error=skip), the first: %s",
            name,
            len(data.skipped),
            data.skipped[0],
        )
    return data.conversations


def _experts(config: Config) -> list[Conversation]:
    """The scripted expert's conversations, made once for the same settings and kept as JSON lines."""
    from agentx.construction.demonstrations import demonstrate_with, expert_conversations, identity

    count, seed, shots = config.data.experts_size, config.data.seed, config.teacher.shots
    demonstrate_with(config.task.name)
    described = {**identity(config.task.name, config.task, shots), "count": count, "seed": seed}
    described["prompts"] = cells.prompts_fingerprint(config.task.name)
    path = config.paths.output / "data" / f"{config.task.name}-experts-{cells.fingerprint(described)}.jsonl"
    with locked(path):
        if path.exists():
            return _read(path)
        log.info("playing %d training episodes of %s with the scripted expert", count, config.task.name)
        made = expert_conversations(config.task.name, config.task, count, seed, shots)
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


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one process at a time makes what `path` names, also on several machines over a shared directory.

    The further ranks that Lightning starts of a job are part of it: the first one holds the lock for them.
    """
    if not ranks.is_first():
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield
