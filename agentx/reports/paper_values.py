"""The paper's numbers beside ours: only for cells of the very benchmark, never for generated data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from agentx.reports.collect import Row
from agentx.reports.tables import Table, marks, percent

SOURCE = Path(__file__).with_name("paper_values.yaml")
SUBSTITUTES = ("generated", "stand-in", "sqlite")
"""words of a task's label that say it is not the benchmark itself"""


@dataclass(frozen=True)
class PaperCell:
    """One printed number, in percent (rewards × 100); `match` maps options to the values a cell of ours must have."""

    table: str
    row: str
    benchmark: str
    value: float
    match: dict[str, Any]


@cache
def paper_cells() -> tuple[PaperCell, ...]:
    """Every number of tables 1 to 4, without the averages."""
    return tuple(
        PaperCell(table["name"], row["label"], benchmark, float(value), row.get("match", {}))
        for table in _document()["tables"]
        for row in table["rows"]
        for benchmark, value in zip(table["columns"], row["values"], strict=True)
    )


def benchmark_of(row: Row) -> str | None:
    """The benchmark whose name the cell may carry: its label is 'NAME' or 'NAME (split)' and admits no substitute."""
    name = row.label.partition(" (")[0].strip()
    is_substitute = any(word in row.label.lower() for word in SUBSTITUTES)
    return name if name in _document()["benchmarks"] and not is_substitute else None


def matching(row: Row) -> list[PaperCell]:
    """The paper's numbers that the cell reproduces."""
    benchmark = benchmark_of(row)
    options = {
        "model": row.model,
        "tuning": "none" if row.tuning == "none" else "tuned",
        "data": row.data,
        "method": row.method,
        "lambda": row.agent_ratio,
        "num_path": row.num_path,
        "num_branch": row.num_branch,
    }
    return [
        cell
        for cell in paper_cells()
        if benchmark and cell.benchmark == benchmark and cell.match
        if all(options[name] == value for name, value in cell.match.items())
    ]


def comparison_table(rows: Sequence[Row]) -> Table | None:
    """Ours, the paper's, the difference, and whether the paper's value lies in our 95 % interval; None where no cell
    is one of the paper's."""
    lines = []
    for row in rows:
        for cell in matching(row):
            value, low, high = _measured(row, cell.benchmark)
            if value is None:
                continue
            inside = "–" if low is None or high is None else "yes" if low <= cell.value / 100 <= high else "no"
            interval = "" if low is None else f" [{percent(low)}, {percent(high)}]"
            lines.append(
                [
                    cell.table,
                    cell.row + marks(row),
                    row.label,
                    row.tuning if row.data is None else f"{row.tuning} on {row.data}",
                    str(row.n),
                    f"{percent(value)}{interval}",
                    f"{cell.value:g}",
                    f"{100 * value - cell.value:+.1f}",
                    inside,
                ]
            )
    if not lines:
        return None
    columns = ["table", "cell", "task", "tuning", "n", "ours [95 %]", "paper", "difference", "paper in interval"]
    games = {name: entry["games"] for name, entry in _document()["benchmarks"].items() if "games" in entry}
    sizes = ", ".join(f"{name} {number}" for name, number in games.items())
    notes = [f"the paper gives no intervals; its samples are small ({sizes} tasks)"]
    return Table("Beside the paper", columns, sorted(lines), notes)


def _measured(row: Row, benchmark: str) -> tuple[float | None, float | None, float | None]:
    """Value and interval, in [0, 1], of what the paper's column is."""
    metric = _document()["benchmarks"][benchmark]["metric"]
    if metric in ("success_rate", "reward"):
        interval = row.summary[metric]
        return interval["value"], interval["low"], interval["high"]
    return row.summary.get("task_metrics", {}).get(metric), None, None


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(SOURCE.read_text(encoding="utf-8"))
    return document
