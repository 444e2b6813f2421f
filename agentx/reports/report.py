"""The report on a directory of cells: tables, figures, and a page on which every episode can be read."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from agentx.evaluation.summary import write_whole
from agentx.reports import calls
from agentx.reports.collect import Row, collect
from agentx.reports.comparisons import compare, comparisons_table
from agentx.reports.episodes import SCRIPTS, copy_viewer, write_data
from agentx.reports.facts import CellFacts, Pool, pools
from agentx.reports.failures import failure_tables
from agentx.reports.figures import draw_figures
from agentx.reports.paper_tables import not_run, tables_as_run, tables_beside_the_paper
from agentx.reports.planned import TITLE, still_to_run
from agentx.reports.tables import Table, escape_markdown, printable, results_csv, results_table, with_interval
from agentx.reports.task_tables import task_tables
from agentx.reports.trials import trials_table

CAPTIONS = {
    "overall": "Mean score over tasks (the paper's figure 1)",
    "methods": "Success per method",
    "lambda": "Success over the data mix",
    "num_path": "Success over the number of paths",
    "num_branch": "Success over the number of branches",
    "cost": "Success against cost",
}
EPISODES = "episodes.html"
FORMATS = ("md", "tex", "csv", "html")


@dataclass(frozen=True)
class Report:
    """Where everything was written."""

    markdown: Path
    html: Path
    csv: Path
    episodes: Path
    """the page on which every episode can be read"""
    figures: list[Path]
    tables: list[Path]
    """each table as Markdown, LaTeX, CSV and HTML"""
    rows: list[Row]
    missing: int
    """cells that sweeps have set out to run and that are not whole yet"""


def write_report(
    cells: str | Path,
    output: str | Path | None = None,
    title: str = "agentx report",
    plans: Path | None = None,
) -> Report:
    """Report on all evaluated cells below `cells` into `output` (default: `cells`/report), replacing an older one.
    `plans` is the folder of what sweeps have set out to run (see `agentx.reports.planned`).

    Raises UserError where `cells` does not exist.
    """
    rows = collect(cells)
    directory = Path(output) if output is not None else Path(cells) / "report"
    directory.mkdir(parents=True, exist_ok=True)
    figures = draw_figures(rows, directory / "figures")
    facts, folders = write_episodes(rows, directory, title)
    missing = None if plans is None else still_to_run(plans, rows)
    sections = _sections(rows, pools(facts), missing)
    files = [path for _, tables in sections for table in tables for path in _write_table(table, directory / "tables")]
    for old in (directory / "tables").glob("*.*"):
        if old not in files:
            old.unlink()
    write_whole(directory / "results.csv", results_csv(rows))
    write_whole(directory / "report.md", _markdown(title, sections, figures, rows, directory))
    images = [
        (CAPTIONS[path.stem], base64.b64encode(path.read_bytes()).decode()) for path in figures if path.suffix == ".svg"
    ]
    html = (
        _templates()
        .get_template("report.jinja")
        .render(
            title=title,
            sections=sections,
            images=images,
            formats=FORMATS,
            episodes=EPISODES,
            cells=[_cell_facts(row, name) for row, name in zip(rows, folders, strict=True)],
        )
    )
    write_whole(directory / "report.html", html)
    return Report(
        directory / "report.md",
        directory / "report.html",
        directory / "results.csv",
        directory / EPISODES,
        figures,
        files,
        rows,
        len(missing.rows) if missing else 0,
    )


def write_episodes(rows: Sequence[Row], directory: Path, title: str) -> tuple[list[CellFacts], list[str]]:
    """The page on which every episode can be read, with its data; returns what `write_data` does."""
    facts, folders = write_data(rows, directory / "data")
    copy_viewer(directory / "viewer")
    page = _templates().get_template("episodes.jinja")
    write_whole(directory / EPISODES, page.render(title=title, cells=json.dumps(folders), scripts=SCRIPTS))
    return facts, folders


def _sections(rows: Sequence[Row], scored: Sequence[Pool], missing: Table | None) -> list[tuple[str, list[Table]]]:
    """The report's chapters with their tables; `missing` are the cells still to be run."""
    comparisons = comparisons_table(compare(scored))
    beside = tables_beside_the_paper(rows)
    unmatched = not_run(rows)
    trials = trials_table(scored)
    results = [results_table(rows), *([trials] if trials else []), *tables_as_run(scored), *task_tables(rows)]
    chapters = [
        ("Results", results),
        (TITLE, [missing] if missing else []),
        ("Comparisons", [comparisons] if comparisons else []),
        ("Failures", failure_tables(scored)),
        ("The paper's tables", [*beside, *([unmatched] if unmatched else [])]),
    ]
    return _with_titles_of_their_own([(name, tables) for name, tables in chapters if tables])


def _with_titles_of_their_own(chapters: list[tuple[str, list[Table]]]) -> list[tuple[str, list[Table]]]:
    """Tables of one title are numbered: their files are named by it."""
    seen: Counter[str] = Counter()
    numbered: list[tuple[str, list[Table]]] = []
    for name, tables in chapters:
        kept = []
        for table in tables:
            seen[table.slug] += 1
            number = seen[table.slug]
            kept.append(table if number == 1 else replace(table, title=f"{table.title} ({number})"))
        numbered.append((name, kept))
    return numbered


def _write_table(table: Table, directory: Path) -> list[Path]:
    directory.mkdir(parents=True, exist_ok=True)
    page = _templates().get_template("table.jinja").render(table=table)
    texts = (table.to_markdown(), table.to_latex(), table.to_csv(), page)
    paths = [directory / f"{table.slug}.{suffix}" for suffix in FORMATS]
    for path, text in zip(paths, texts, strict=True):
        write_whole(path, text)
    return paths


def _cell_facts(row: Row, folder: str) -> dict[str, Any]:
    summary = row.summary
    return {
        "name": folder,
        "label": row.label,
        "model": row.model,
        "tuning": row.tuning,
        "method": row.method,
        "n": row.n,
        "expected": summary["expected"],
        "success": with_interval(summary["success_rate"]),
        "outcomes": {name: number for name, number in summary["outcomes"].items() if number},
        "errors": summary.get("infrastructure_error_messages", {}),
    }


def _markdown(
    title: str,
    sections: Sequence[tuple[str, Sequence[Table]]],
    figures: Sequence[Path],
    rows: Sequence[Row],
    directory: Path,
) -> str:
    parts = [f"# {escape_markdown(title)}", f"[every episode, step by step]({EPISODES})"]
    for name, tables in sections:
        parts += [f"## {name}", *[table.to_markdown() for table in tables]]
        if name == "Results":
            for path in figures:
                if path.suffix == ".png":
                    parts.append(f"![{CAPTIONS[path.stem]}]({path.relative_to(directory).as_posix()})")
    remarks = [f"- {escape_markdown(line)}" for row in rows for line in calls.remarks(row)]
    if remarks:
        parts += ["## Calls", "\n".join(remarks)]
    messages: Counter[str] = Counter()
    for row in rows:
        messages.update(row.summary.get("infrastructure_error_messages", {}))
    if messages:
        parts.append("## Infrastructure errors")
        parts.append("\n".join(f"- {number} × {escape_markdown(text)}" for text, number in sorted(messages.items())))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("agentx.reports", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Made visible before escaping: browsers act on direction marks also where markup is escaped.
        finalize=lambda value: printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value,
    )
    return environment
