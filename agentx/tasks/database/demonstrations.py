"""Demonstrations of the database task: the scripted expert on generated training samples and the embedded engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agentx.errors import ConfigError
from agentx.tasks.database.environment import DatabaseEnvironment
from agentx.tasks.database.expert import ExpertModel
from agentx.tasks.database.generator import generate_one
from agentx.tasks.database.prompts import opening
from agentx.tasks.database.settings import Settings
from agentx.tasks.database.sqlite import SqliteEngine
from agentx.tasks.database.tables import Record
from agentx.tasks.database.task import engine
from agentx.tasks.demonstration import Demonstration

MISTAKES = 0.15
"""chance that a first statement is clumsy; such turns are shown but not trained on"""


def relevant_settings(settings: Settings) -> dict[str, Any]:
    """What a demonstration depends on; the samples and the engine that are evaluated are not among it."""
    if settings.replies == "agentbench":
        raise ConfigError("task.replies=agentbench: the expert (data.agent=experts) has action replies only; use those")
    return {name: getattr(settings, name) for name in ("kinds", "rows", "prompt", "max_rounds")} | {
        "mistakes": MISTAKES
    }


def demonstrate(
    settings: Settings, *, index: int, seed: int, style: str, shots: int, weak_paths: int, contested: float
) -> Demonstration:
    """See `agentx.construction.demonstrations.Demonstrate`."""
    record = _record(settings, index, seed)
    kind = record.kind
    played = replace(settings, split="train", source="generated", engine="sqlite", dsn=None)
    environment = DatabaseEnvironment(SqliteEngine, record, played)
    expert = ExpertModel(
        record,
        environment,
        style,
        seed=index,
        mistakes=MISTAKES,
        weak_paths=weak_paths,
        contested=contested,
    )
    return Demonstration(
        id=f"train-{seed}-{index:05d}-{kind}",
        environment=environment,
        expert=expert,
        opening=opening(kind, style, shots, settings.prompt),
        strayed=expert.strayed,
        kind=kind,
        background=_background(record),
    )


def real_environment(settings: Settings, *, index: int, seed: int) -> DatabaseEnvironment:
    """The demonstration's environment on the engine that the settings name, a server where that is one."""
    played = replace(settings, split="train", source="generated")
    return DatabaseEnvironment(lambda: engine(settings.engine, settings.dsn), _record(settings, index, seed), played)


def _record(settings: Settings, index: int, seed: int) -> Record:
    source = f"demonstration/{seed}/{index}"  # other samples than the generated training split has
    return generate_one("train", source, index, settings.kinds[index % len(settings.kinds)], settings.rows)


def _background(record: Record) -> str:
    table = record.table
    rows = "\n".join(repr(row) for row in table.rows)
    return f"The table `{table.name}` has the columns {', '.join(table.columns)} and these rows:\n{rows}"
