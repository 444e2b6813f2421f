"""`job=report`: tables, figures and trajectories of all cells under paths.output; the tables printed after a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agentx.config import Config

if TYPE_CHECKING:
    from agentx.jobs.job_record import JobRecord
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
    from agentx.reports.report import write_report

    return write_report(output / "cells", output / "report")


def print_cells(cells: Sequence[Path], output: Path) -> None:
    """Print the table of some cells and write the report over all of them."""
    report = write(output)
    wanted = {cell.resolve() for cell in cells}
    _print([row for row in report.rows if row.directory.resolve() in wanted])
    _say_where(report)


def print_sweep(records: Sequence[JobRecord], directory: Path, output: Path) -> None:
    """What became of the jobs of a sweep, then the table of their cells."""
    failed = [record for record in records if record.status != "passed"]
    print(f"\n{len(records) - len(failed)} of {len(records)} jobs passed ({directory})")
    for record in failed:
        print(f"  failed: {' '.join(record.overrides) or '(no overrides)'}: {record.reason}")
    cells = [Path(record.cell) for record in records if record.status == "passed" and record.cell]
    if any((cell / "summary.json").exists() for cell in cells):
        print_cells(cells, output)


def _print(rows: Sequence[Row]) -> None:
    from agentx.reports.tables import print_table, results_table

    print()
    print_table(results_table(rows))


def _say_where(report: Report) -> None:
    print(f"report        {report.html}  (also {report.markdown.name}, {report.csv.name} and figures beside it)")
    if report.pages:
        print(f"trajectories  {report.pages[0].parent}")
