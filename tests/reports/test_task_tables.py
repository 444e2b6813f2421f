"""A task's own metrics and the kinds of its samples, in tables of their own."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from agentx.reports.collect import collect
from agentx.reports.report import write_report
from agentx.reports.tables import results_csv
from agentx.reports.task_tables import CELLS_PER_TABLE, kinds_tables, metrics_table, task_tables

WEB = "mind2web (generated)"


def measured(cell: Path, metrics: dict[str, float], kinds: dict[str, dict[str, int]] | None = None) -> None:
    """Give a cell's summary these metrics and kinds."""
    summary = json.loads((cell / "summary.json").read_text())
    summary |= {"task_metrics": metrics, "by_kind": kinds or {}}
    (cell / "summary.json").write_text(json.dumps(summary))


def test_a_tasks_metrics_are_shown_by_cell_and_success_is_not_repeated(make_cell: Any, cells: Path) -> None:
    measured(make_cell("a", label=WEB), {"element_accuracy": 0.5, "recall@10": 1.0, "success_rate": 0.5})
    measured(make_cell("b", label=WEB, **{"lambda": 0.8}), {"element_accuracy": 0.25, "task_success_rate": 0.0})
    measured(make_cell("c"), {"success_rate": 0.5, "success_rate/pick": 0.5})
    (table,) = task_tables(collect(cells))
    assert table.title == f"Metrics of {WEB}"
    assert table.columns == ["cell", "n", "element_accuracy", "recall@10", "task_success_rate"]
    assert table.rows == [
        ["react, λ 0.5 (g)", "2", "50.0", "100.0", "–"],
        ["react, λ 0.8 (g)", "2", "25.0", "–", "0.0"],
    ]


def test_kinds_are_lines_and_cells_columns(make_cell: Any, cells: Path) -> None:
    for number in range(CELLS_PER_TABLE + 1):
        kinds = {"copy": {"n": 4, "successes": number % 4}, "sort": {"n": 2, "successes": 1}}
        measured(make_cell(f"cell{number}", seed=number), {}, kinds)
    first, second = kinds_tables("household (generated)", collect(cells))
    assert first.columns == ["kind", *(f"react, seed {n}" for n in range(CELLS_PER_TABLE))]
    assert [row[:3] for row in first.rows] == [["copy", "0.0 of 4", "25.0 of 4"], ["sort", "50.0 of 2", "50.0 of 2"]]
    assert second.columns == ["kind", f"react, seed {CELLS_PER_TABLE}"]


def test_one_kind_or_no_metrics_make_no_table(make_cell: Any, cells: Path) -> None:
    measured(make_cell("a"), {}, {"copy": {"n": 4, "successes": 1}})
    rows = collect(cells)
    assert (task_tables(rows), metrics_table("x", []), kinds_tables("x", [])) == ([], [], [])


def test_the_report_and_the_csv_have_them(make_cell: Any, cells: Path) -> None:
    kinds = {"<b>": {"n": 1, "successes": 1}, "TYPE": {"n": 1, "successes": 0}}
    measured(make_cell("a", label=WEB), {"action_f1": 0.125}, kinds)
    report = write_report(cells)
    for text in (report.markdown.read_text(), report.html.read_text()):
        assert "action_f1" in text.replace("\\", "")
        assert "12.5" in text and "100.0 of 1" in text
        assert "<b>" not in text
    (record,) = csv.DictReader(io.StringIO(results_csv(collect(cells))))
    assert record["metric_action_f1"] == "0.125"
