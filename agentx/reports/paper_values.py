"""The paper's numbers beside ours: only for cells of the very benchmark, never for generated data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from agentx.experiments import GROUP, cells_of, command, keyed
from agentx.reports.collect import Row

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


def measured(row: Row, benchmark: str) -> tuple[float | None, float | None, float | None]:
    """Value and interval, in [0, 1], of what the paper's column is."""
    metric = benchmarks()[benchmark]["metric"]
    if metric in ("success_rate", "reward"):
        interval = row.summary[metric]
        return interval["value"], interval["low"], interval["high"]
    value = row.summary.get("task_metrics", {}).get(metric)
    if value is not None and value == row.summary["success_rate"]["value"]:
        # A step of Mind2Web is a sample: the interval of the successes is that of the steps.
        return value, row.summary["success_rate"]["low"], row.summary["success_rate"]["high"]
    return value, None, None


def other_split(row: Row) -> bool:
    """Whether the cell played other samples of the benchmark than the paper, as far as the paper's are known."""
    name = benchmark_of(row)
    split = benchmarks()[name].get("split") if name else None
    return bool(split) and f"({split}" not in row.label


def command_of(cell: PaperCell) -> str:
    """What a user types for a number of the paper's: the cell of that table's experiment, alone, and where the data
    lie. Raises LookupError where the experiment has no such cell."""
    experiment = cell.table.lower().replace(" ", "")
    benchmark = benchmarks()[cell.benchmark]
    for options in cells_of(experiment, "paper"):
        given = _matched_options(options)
        wanted = {**cell.match, "task": benchmark["task"]}
        if all(given.get(name) == str(value) for name, value in wanted.items()):
            return command([f"{GROUP}={experiment}", *options, *benchmark["paths"]])
    raise LookupError(f"experiments={experiment} has no cell for {cell.row}, {cell.benchmark}")


@cache
def _matched_options(options: tuple[str, ...]) -> dict[str, str]:
    """A cell's options in the words of `PaperCell.match`."""
    typed = {name: option.partition("=")[2] for name, option in keyed(options).items()}
    tuning = "none" if typed.get("tuning") == "none" else "tuned"
    return {"method": "react", **typed, "tuning": tuning}


def paper_tables() -> list[dict[str, Any]]:
    """The tables as they lie in paper_values.yaml."""
    tables: list[dict[str, Any]] = _document()["tables"]
    return tables


def benchmarks() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = _document()["benchmarks"]
    return found


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(SOURCE.read_text(encoding="utf-8"))
    return document
