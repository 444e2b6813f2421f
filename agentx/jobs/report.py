"""`job=report`: tables, figures and trajectories of all cells under paths.output; the tables printed after a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agentx.config import Config

if TYPE_CHECKING:
    from agentx.reports.collect import Row
    from agentx.reports.report import Report


def run(config: Config) -> Path:
    """Write the report over all cells and print its table; returns the report's main file."""
    report = write(config.paths.output)
    _print(report.rows)
    _say_where(report)
    return report.html


def write(output: Path) -> Report:
    """The report over every evaluated cell below `output`."""
    from agentx.reports.planned import PLANS
    from agentx.reports.report import write_report

    write_curves(sorted((output / "adapters").glob("*/adapter")), output / "report")
    return write_report(output / "cells", output / "report", plans=output / PLANS)


def print_cells(cells: Sequence[Path], output: Path) -> None:
    """Print the table of some cells and write the report over all of them."""
    report = write(output)
    wanted = {cell.resolve() for cell in cells}
    _print([row for row in report.rows if row.directory.resolve() in wanted])
    _say_where(report)


def write_curves(adapters: Sequence[Path], directory: Path) -> Path | None:
    """The loss curves of some adapters in one figure; None where there are none."""
    from agentx.reports.loss_curves import write_loss_curves

    return write_loss_curves(adapters, directory)


def _print(rows: Sequence[Row]) -> None:
    from agentx.reports.tables import print_table, results_table
    from agentx.reports.task_tables import metrics_table

    print()
    print_table(results_table(rows))
    for label in dict.fromkeys(row.label for row in rows):
        for table in metrics_table(label, [row for row in rows if row.label == label]):
            print_table(table)


def _say_where(report: Report) -> None:
    print(
        f"report        {report.html}  (also {report.markdown.name}, {report.csv.name}, tables and figures beside it)"
    )
    print(f"trajectories  {report.episodes}")
    if report.missing:
        print(f"still to run  {report.missing} cells of sweeps; the report has the command for each")
