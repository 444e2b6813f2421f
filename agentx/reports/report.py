"""The report on a directory of cells: tables, figures and one readable page of trajectories per cell."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from agentx.evaluation.store import ResultStore
from agentx.evaluation.summary import write_whole
from agentx.reports.collect import Row, collect
from agentx.reports.figures import draw_figures
from agentx.reports.paper_values import comparison_table
from agentx.reports.tables import Table, escape_markdown, printable, results_csv, results_table, with_interval
from agentx.trajectory import ModelCall, Purpose, Trajectory

EPISODES_PER_PAGE = 200
CAPTIONS = {
    "methods": "Success per method",
    "lambda": "Success over the data mix",
    "num_path": "Success over the number of paths",
    "num_branch": "Success over the number of branches",
    "cost": "Success against cost",
}


@dataclass(frozen=True)
class Report:
    """Where everything was written."""

    markdown: Path
    html: Path
    csv: Path
    figures: list[Path]
    pages: list[Path]
    rows: list[Row]


def write_report(cells: str | Path, output: str | Path | None = None, title: str = "agentx report") -> Report:
    """Report on all evaluated cells below `cells` into `output` (default: `cells`/report), replacing an older one.

    Raises UserError where `cells` does not exist.
    """
    rows = collect(cells)
    directory = Path(output) if output is not None else Path(cells) / "report"
    directory.mkdir(parents=True, exist_ok=True)
    figures = draw_figures(rows, directory / "figures")
    pages = {row.directory: write_trajectory_pages(row, directory / "trajectories") for row in rows}
    tables = [table for table in (results_table(rows), comparison_table(rows)) if table is not None]
    links = [(row, [page.relative_to(directory).as_posix() for page in pages[row.directory]]) for row in rows]
    write_whole(directory / "results.csv", results_csv(rows))
    write_whole(directory / "report.md", _markdown(title, tables, figures, links, directory))
    images = [
        (CAPTIONS[path.stem], base64.b64encode(path.read_bytes()).decode()) for path in figures if path.suffix == ".svg"
    ]
    html = (
        _templates()
        .get_template("report.jinja")
        .render(title=title, tables=tables, images=images, cells=[_cell_facts(row, urls) for row, urls in links])
    )
    write_whole(directory / "report.html", html)
    return Report(
        directory / "report.md",
        directory / "report.html",
        directory / "results.csv",
        figures,
        [page for cell_pages in pages.values() for page in cell_pages],
        rows,
    )


def write_trajectory_pages(row: Row, directory: Path) -> list[Path]:
    """The cell's episodes, prompts, thoughts, actions, observations and verdicts, as HTML pages that need nothing
    else. Every text of a model or an environment is escaped."""
    directory.mkdir(parents=True, exist_ok=True)
    store = ResultStore(row.directory)
    trajectories = store.trajectories()
    errors = store.infrastructure_errors()
    parts = [trajectories[i : i + EPISODES_PER_PAGE] for i in range(0, len(trajectories), EPISODES_PER_PAGE)] or [[]]
    names = [f"{row.directory.name}{f'-{i + 1}' if i else ''}.html" for i in range(len(parts))]
    template = _templates().get_template("trajectories.jinja")
    paths = []
    for i, part in enumerate(parts):
        page = template.render(
            facts=_cell_facts(row, names),
            episodes=[(trajectory, _calls_by_place(trajectory)) for trajectory in part],
            errors=errors if i == 0 else [],
            names=names,
            this=names[i],
        )
        path = directory / names[i]
        write_whole(path, page)
        paths.append(path)
    return paths


BEFORE_THE_STEP = (Purpose.PLAN, Purpose.PICK)


def _calls_by_place(trajectory: Trajectory) -> dict[tuple[int, int, str], list[ModelCall]]:
    """Planner's and judge's calls by (path, step, "before" or "after"); those that belong to no step of a path are
    under step -1, those of no path under path -1. The policy's replies stand in the steps."""
    steps = {path.index: {step.index for step in path.steps} for path in trajectory.paths}
    calls: dict[tuple[int, int, str], list[ModelCall]] = {}
    for call in trajectory.calls:
        if call.purpose is not Purpose.ACT:
            path = call.path if call.path in steps else -1
            step = call.step if call.step in steps.get(path, ()) else -1
            side = "before" if step >= 0 and call.purpose in BEFORE_THE_STEP else "after"
            calls.setdefault((path, step, side), []).append(call)
    return calls


def _cell_facts(row: Row, urls: Sequence[str]) -> dict[str, Any]:
    summary = row.summary
    return {
        "name": row.directory.name,
        "label": row.label,
        "model": row.model,
        "tuning": row.tuning,
        "agent_ratio": row.agent_ratio,
        "method": row.method,
        "n": row.n,
        "expected": summary["expected"],
        "success": with_interval(summary["success_rate"]),
        "outcomes": {name: number for name, number in summary["outcomes"].items() if number},
        "judge": summary.get("judge"),
        "notices": summary.get("notices", {}),
        "errors": summary.get("infrastructure_error_messages", {}),
        "urls": urls,
    }


def _markdown(
    title: str,
    tables: Sequence[Table],
    figures: Sequence[Path],
    links: Sequence[tuple[Row, Sequence[str]]],
    directory: Path,
) -> str:
    parts = [f"# {escape_markdown(title)}", *[table.to_markdown() for table in tables]]
    for path in figures:
        if path.suffix == ".png":
            parts.append(f"![{CAPTIONS[path.stem]}]({path.relative_to(directory).as_posix()})")
    if links:
        parts.append("## Trajectories")
        parts.append(
            "\n".join(
                f"- {escape_markdown(f'{row.label}, {row.model}, {row.tuning}, {row.method}')}: "
                + " ".join(f"[{escape_markdown(Path(url).name)}](<{url}>)" for url in urls)
                for row, urls in links
            )
        )
    messages: Counter[str] = Counter()
    for row, _ in links:
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
    environment.globals["share"] = lambda value: "–" if value is None else f"{value:.2f}"
    return environment
