"""What a task measures besides success: its own metrics, and how success divides among kinds of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentx.reports.collect import Row
from agentx.reports.tables import Table, marks, percent

IN_THE_MAIN_TABLE = ("reward", "success_rate")
CELLS_PER_TABLE = 8
"""columns of results that a table of kinds has at most"""


def task_tables(rows: Sequence[Row]) -> list[Table]:
    """For each task label: its metrics, one line per cell, then its kinds, one column per cell; those that exist."""
    tables: list[Table] = []
    for label in dict.fromkeys(row.label for row in rows):
        found = [row for row in rows if row.label == label]
        tables += [*metrics_table(label, found), *kinds_tables(label, found)]
    return tables


def metrics_table(label: str, rows: Sequence[Row]) -> list[Table]:
    """One table, or none where the task has no metrics but success and reward."""
    metrics = [_metrics(row) for row in rows]
    columns = list(dict.fromkeys(name for found in metrics for name in found))
    if not columns:
        return []
    lines = [
        [name + marks(row), str(row.n), *(percent(found.get(column)) for column in columns)]
        for name, row, found in zip(_names(rows), rows, metrics, strict=True)
        if found
    ]
    return [Table(f"Metrics of {label}", ["cell", "n", *columns], lines, ["in %"])]


def kinds_tables(label: str, rows: Sequence[Row]) -> list[Table]:
    """Success by kind of sample, several tables where there are many cells; none where there are no two kinds."""
    counts: list[Mapping[str, Any]] = [row.summary.get("by_kind") or {} for row in rows]
    kinds = sorted({kind for found in counts for kind in found})
    if len(kinds) < 2:
        return []
    tables = []
    for first in range(0, len(rows), CELLS_PER_TABLE):
        part = slice(first, first + CELLS_PER_TABLE)
        columns = ["kind", *_names(rows)[part]]
        lines = [[kind, *(_share(found.get(kind)) for found in counts[part])] for kind in kinds]
        tables.append(Table(f"Kinds of {label}", columns, lines, ["success in %, and of how many"]))
    return tables


def _metrics(row: Row) -> dict[str, float]:
    """Without what the main table or the table of kinds shows."""
    found = row.summary.get("task_metrics") or {}
    return {
        name: value
        for name, value in found.items()
        if name not in IN_THE_MAIN_TABLE and not name.startswith("success_rate/")
    }


def _share(counts: Mapping[str, Any] | None) -> str:
    return "–" if counts is None else f"{percent(counts['successes'] / counts['n'])} of {counts['n']}"


def _names(rows: Sequence[Row]) -> list[str]:
    """What tells the cells apart, the method in any case."""
    parts = [
        {
            "model": row.model,
            "tuning": "untuned" if row.tuning == "none" else row.tuning if row.data is None else f"on {row.data}",
            "λ": "" if row.agent_ratio is None else f"λ {row.agent_ratio:g}",
            "paths": f"{row.num_path} paths",
            "branches": f"{row.num_branch} branches",
            "seed": f"seed {row.seed}",
        }
        for row in rows
    ]
    telling = [name for name in (parts[0] if parts else ()) if len({part[name] for part in parts}) > 1]
    return [
        ", ".join([row.method, *(part[name] for name in telling if part[name])])
        for row, part in zip(rows, parts, strict=True)
    ]
