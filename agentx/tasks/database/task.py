"""The database task: its samples, environments, prompts and scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol, cast

from agentx.conversation import Message
from agentx.tasks.database import prompts
from agentx.tasks.database.agentbench_prompt import read_opening
from agentx.tasks.database.availability import require
from agentx.tasks.database.engines import Engine
from agentx.tasks.database.environment import DatabaseEnvironment
from agentx.tasks.database.generator import generate
from agentx.tasks.database.official import read_records
from agentx.tasks.database.settings import MUTATIONS, EngineName, Settings
from agentx.tasks.database.subjects import Split
from agentx.tasks.database.tables import Record
from agentx.tasks.environment import Sample, TaskDataError
from agentx.trajectory import Trajectory

_LABELS = {"dev": "dev", "standard": "std"}


class Paths(Protocol):
    """Where data are; None where they are not needed."""

    @property
    def agentbench(self) -> Path | None: ...


@dataclass(frozen=True)
class DatabaseTask:
    """Satisfies `agentx.tasks.environment.Task`."""

    settings: Settings
    label: str
    samples: Sequence[Sample]
    records: dict[str, Record]
    """by sample id"""
    wording: tuple[Message, ...] | None = None
    """AgentBench's opening, where it is used"""
    name: str = "database"
    success_threshold: float = 1.0

    def opening(self, sample: Sample, style: str, shots: int) -> list[Message]:
        """AgentBench's prompt has no worked example, whatever `shots`."""
        if self.wording is not None:
            return list(self.wording)
        return prompts.opening(sample.kind, style, shots, self.settings.prompt)

    async def open(self, sample: Sample) -> DatabaseEnvironment:
        settings = self.settings
        return DatabaseEnvironment(lambda: engine(settings.engine, settings.dsn), self.records[sample.id], settings)

    def statements(self) -> dict[str, str]:
        """What each sample asks for, by its id: to find evaluation samples among training data."""
        return {name: record.description for name, record in self.records.items()}

    def aggregate(self, trajectories: Sequence[Trajectory]) -> dict[str, float]:
        """Accuracy within each kind that occurs, `accuracy/SELECT` over all queries, `success_rate` over all results,
        and `accuracy`, AgentBench's overall score: the mean of SELECT, INSERT and UPDATE, given where all three
        occur."""
        won: dict[str, list[bool]] = {}
        for trajectory in trajectories:
            kind = self.records[trajectory.sample].kind
            keys = ["success_rate", f"accuracy/{kind}"] + ["accuracy/SELECT"] * (kind not in MUTATIONS)
            for key in keys:
                won.setdefault(key, []).append(trajectory.reward >= self.success_threshold)
        rates = {key: sum(values) / len(values) for key, values in sorted(won.items())}
        parts = [rates.get(f"accuracy/{kind}") for kind in ("SELECT", "INSERT", "UPDATE")]
        known = [part for part in parts if part is not None]
        return rates | ({"accuracy": sum(known) / len(known)} if len(known) == len(parts) else {})


def make_task(settings: Settings, paths: Paths) -> DatabaseTask:
    """The task as configured. Starts no server: that happens when the first sample is opened.

    Raises UserError when the engine does not work here and TaskDataError when official data are missing or broken,
    naming the path to set.
    """
    require(settings)
    if settings.source == "official":
        every = read_records(paths.agentbench, settings.split)
        wanted = [record for record in every if record.kind in settings.kinds]
        if not wanted:
            raise TaskDataError(f"task.split={settings.split} has no sample of the kinds {', '.join(settings.kinds)}")
        records = _evenly(wanted, settings.samples)
        facts = [_LABELS[settings.split]]
        facts += [] if len(records) == len(every) else [f"{len(records)} of {len(every)}"]
    else:
        split = cast(Split, settings.split)
        records = generate(split, settings.samples or 0, settings.seed, settings.kinds, settings.rows)
        facts = ["generated"] if split == "test" else ["generated, train"]
    wording = read_opening(paths.agentbench) if settings.replies == "agentbench" else None
    facts += ["own prompt"] * (settings.source == "official" and wording is None)
    facts += ["SQLite stand-in"] * (settings.engine == "sqlite")
    facts += ["scoring of main"] * (settings.scoring == "agentbench_main")
    name = "DB" if settings.source == "official" else "database"
    return DatabaseTask(
        settings,
        label=f"{name} ({', '.join(facts)})",
        samples=[Sample(r.id, "api", settings.split, r.kind, {"rows": len(r.table.rows)}) for r in records],
        records={record.id: record for record in records},
        wording=wording,
    )


@cache
def engine(name: EngineName, dsn: str | None) -> Engine:
    """The engine of that name, once per process. Raises UserError or OSError when there is no server to be had."""
    if name == "sqlite":
        from agentx.tasks.database.sqlite import SqliteEngine

        return SqliteEngine()
    from agentx.tasks.database.mysql import engine_at

    return engine_at(dsn)


def _evenly(records: list[Record], count: int | None) -> list[Record]:
    """`count` of them at even distances, so that no kind is left out for where it stands in the file."""
    if count is None or count >= len(records):
        return records
    return [records[index * len(records) // count] for index in range(count)]
