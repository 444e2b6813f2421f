"""Figures of a report as PNG and SVG: scores per method, the λ, num_path and num_branch curves, score against cost."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from agentx.reports.collect import METHOD_ORDER, Row
from agentx.reports.paper_values import benchmark_of, paper_tables
from agentx.reports.tables import printable

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999", "#F0E442", "#000000")
"""Okabe and Ito's palette, told apart by colour-blind readers too"""
MARKERS = "osD^vP*Xh"


def draw_figures(rows: Sequence[Row], directory: Path) -> list[Path]:
    """Draw every figure the cells have data for into `directory`; returns the files, PNG and SVG in turn."""
    measured = [row for row in rows if row.summary["success_rate"]["value"] is not None]
    directory.mkdir(parents=True, exist_ok=True)
    figures = {
        "overall": overall_bars(measured),
        "methods": method_bars(measured),
        "lambda": curve(measured, "λ (share of agent data)", lambda row: row.agent_ratio, "agent_ratio"),
        "num_path": curve(measured, "num_path", lambda row: row.num_path, "num_path", whole=True),
        "num_branch": curve(measured, "num_branch", lambda row: row.num_branch, "num_branch", whole=True),
        "cost": score_against_cost(measured),
    }
    paths = []
    for name, figure in figures.items():
        if figure is not None:
            for suffix in ("png", "svg"):
                path = directory / f"{name}.{suffix}"
                _save(figure, path)
                paths.append(path)
    return paths


def method_bars(rows: Sequence[Row]) -> Figure | None:
    """Success per cell with its 95 % interval, one panel per task, model and tuning; None without two methods."""
    panels = _grouped(rows, lambda row: _words(row, without=("method", "num_path", "num_branch", "oracle")))
    panels = {name: cells for name, cells in panels.items() if len({row.method for row in cells}) > 1}
    if not panels:
        return None
    figure = Figure(figsize=(7, 1.1 + sum(0.42 * len(cells) + 0.9 for cells in panels.values())), layout="constrained")
    heights = [len(cells) + 2 for cells in panels.values()]
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (name, cells) in zip(axes, panels.items(), strict=True):
        for position, row in enumerate(cells):
            value, below, above = _success(row)
            error = {"capsize": 3, "ecolor": "#333333"}
            axis.barh(position, value, xerr=[[below], [above]], color=_look(row.method)["color"], error_kw=error)
        axis.set_yticks(range(len(cells)), [printable(f"{_method(row)}  n={row.n}") for row in cells])
        axis.invert_yaxis()
        axis.set_xlim(0, 100)
        axis.set_title(_plain(name), fontsize=9)
    axes[-1].set_xlabel("success, % (95 % interval)")
    return figure


def overall_bars(rows: Sequence[Row]) -> Figure | None:
    """The paper's figure 1: the mean score over tasks, per model, training and method that has played at least two
    tasks; those that played the same tasks stand in one panel, because means over different ones compare nothing.
    Success where that is a task's metric, else reward; the interval treats tasks as independent. The paper's own
    averages stand beside those that played nothing but its benchmarks. None without such a bar."""
    groups = _grouped(rows, lambda row: _words(row, without=("label",)))
    panels: dict[tuple[str, ...], list[tuple[str, float, float, str]]] = {}
    for name, cells in groups.items():
        by_task = _grouped(cells, lambda row: row.label)
        if len(by_task) < 2:
            continue
        scores = [_overall([_score(row) for row in same]) for same in by_task.values()]
        bars = panels.setdefault(tuple(sorted(by_task)), [])
        bars.append((f"{name}\nn={sum(row.n for row in cells)}", *_overall(scores), COLOURS[0]))
        if all(benchmark_of(row) for row in cells):
            paper = [entry for entry in paper_tables()[0]["rows"] if "average" in entry]
            bars += [(f"{entry['label']} (paper)", float(entry["average"]), 0.0, COLOURS[6]) for entry in paper]
    if not panels:
        return None
    panels = {tasks: sorted(dict.fromkeys(bars), key=lambda bar: -bar[1]) for tasks, bars in panels.items()}
    heights = [1.2 + 0.5 * len(bars) for bars in panels.values()]
    figure = Figure(figsize=(7, 0.4 + sum(heights)), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (tasks, bars) in zip(axes, panels.items(), strict=True):
        for position, (_, value, reach, colour) in enumerate(bars):
            below, above = min(value, reach), min(100 - value, reach)
            error = {"capsize": 3, "ecolor": "#333333"} if reach else {"elinewidth": 0}
            axis.barh(position, value, xerr=[[below], [above]], color=colour, error_kw=error)
        axis.set_yticks(range(len(bars)), [_plain(name) for name, *_ in bars], fontsize=8)
        axis.invert_yaxis()
        axis.set_xlim(0, 100)
        axis.set_title(textwrap.fill(_plain(f"{len(tasks)} tasks: {'; '.join(tasks)}"), 80), fontsize=8)
    axes[-1].set_xlabel("mean score over tasks (95 % interval)")
    return figure


def _score(row: Row) -> tuple[float, float]:
    """Percent and half the interval's width: reward where the benchmark reports it, success elsewhere."""
    by_reward = row.summary["task"] == "webshop" and row.summary["reward"]["low"] is not None
    interval = row.summary["reward" if by_reward else "success_rate"]
    return 100 * interval["value"], 50 * (interval["high"] - interval["low"])


def _overall(scores: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return sum(value for value, _ in scores) / len(scores), sum(half**2 for _, half in scores) ** 0.5 / len(scores)


def curve(
    rows: Sequence[Row],
    label: str,
    x: Callable[[Row], float | None],
    varying: str,
    whole: bool = False,
) -> Figure | None:
    """Success over `x`, a panel per task and in it one line through the means of each series, which is what has all
    but `varying` in common; None where no series has two values of x."""
    panels: dict[str, dict[str, list[Row]]] = {}
    for task, cells in _grouped([row for row in rows if x(row) is not None], lambda row: row.label).items():
        series = _grouped(cells, lambda row: _words(row, ("label", varying)))
        series = {name: same for name, same in series.items() if len({x(row) for row in same}) > 1}
        if series:
            panels[task] = series
    if not panels:
        return None
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    size = (max(6, 4.2 * columns), 3.9 * lines)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False, sharey=True).flatten()
    for unused in axes[len(panels) :]:
        unused.set_visible(False)
    for axis, (task, series) in zip(axes, panels.items(), strict=False):
        for number, (name, same) in enumerate(series.items()):
            style = _style(number)
            by_x = _grouped(same, x)
            places = sorted(by_x)
            means = [sum(_success(row)[0] for row in by_x[place]) / len(by_x[place]) for place in places]
            axis.plot(places, means, label=_plain(name), **style)
            for place, row in ((place, row) for place, several in by_x.items() for row in several):
                value, below, above = _success(row)
                axis.errorbar(
                    [place], [value], yerr=[[below], [above]], capsize=3, alpha=0.6, linestyle="none", **style
                )
        axis.set_xlabel(label)
        axis.set_title(_plain(task), fontsize=9)
        if whole:
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        _finish(axis)
    return figure


def score_against_cost(rows: Sequence[Row]) -> Figure | None:
    """Success over model calls and over tokens per episode, two panels a task, one point per cell; None where no task
    has two cells."""
    panels = {task: cells for task, cells in _grouped(rows, lambda row: row.label).items() if len(cells) > 1}
    if not panels:
        return None
    figure = Figure(figsize=(9, 3.6 * len(panels)), layout="constrained")
    lines = figure.subplots(len(panels), 2, squeeze=False, sharey=True)
    for line, (task, cells) in zip(lines, panels.items(), strict=True):
        for axis, (name, label) in zip(line, (("calls", "model calls"), ("tokens", "tokens")), strict=True):
            _cost_panel(axis, cells, name)
            axis.set_xlabel(f"{label} per episode")
            axis.set_title(_plain(task), fontsize=9)
        _finish(line[0])
        _finish(line[1])
        line[1].set_ylabel("")
    return figure


def _cost_panel(axis: Axes, cells: Sequence[Row], name: str) -> None:
    for method in dict.fromkeys(row.method for row in cells):
        costly = [row for row in cells if row.method == method and row.summary["cost"]["per_episode"][name]]
        if not costly:
            continue
        spread = [_success(row) for row in costly]
        axis.errorbar(
            [row.summary["cost"]["per_episode"][name] for row in costly],
            [value for value, _, _ in spread],
            yerr=[[below for _, below, _ in spread], [above for _, _, above in spread]],
            linestyle="none",
            capsize=3,
            label=_plain(method),
            **_look(method),
        )
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    # Within one power of ten the powers alone would leave the axis nearly empty; more digits would overlap.
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 200 else (1,)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def _success(row: Row) -> tuple[float, float, float]:
    """Percent, and the interval's reach below and above it."""
    interval = row.summary["success_rate"]
    value = 100 * interval["value"]
    return value, max(0.0, value - 100 * interval["low"]), max(0.0, 100 * interval["high"] - value)


def _words(row: Row, without: Iterable[str] = ()) -> str:
    """What the cell is, in words, leaving out what varies within a series; seeds are always pooled."""
    parts = {
        "label": row.label,
        "model": row.model,
        "tuning": "untuned" if row.tuning == "none" else row.tuning,
        "agent_ratio": "" if row.agent_ratio is None else f"λ={row.agent_ratio:g}",
        "method": row.method,
        "num_path": f"{row.num_path} paths" if row.num_path > 1 else "",
        "num_branch": f"{row.num_branch} branches" if row.num_branch > 1 else "",
        "oracle": "oracle" if row.uses_oracle else "",
    }
    left_out = set(without)
    return ", ".join(part for name, part in parts.items() if part and name not in left_out)


def _method(row: Row) -> str:
    widths = f" {row.num_path}×{row.num_branch}" if row.num_path > 1 or row.num_branch > 1 else ""
    return row.method + widths + (" (oracle)" if row.uses_oracle else "")


def _style(number: int) -> dict[str, Any]:
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}


def _look(method: str) -> dict[str, Any]:
    """A method looks the same in every figure."""
    return _style(METHOD_ORDER.index(method) if method in METHOD_ORDER else len(METHOD_ORDER))


def _grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _plain(text: str) -> str:
    """A dollar sign would start mathematics."""
    return printable(text).replace("$", r"\$")


def _finish(axis: Axes) -> None:
    axis.set_ylabel("success, % (95 % interval)")
    axis.set_ylim(-3, 103)  # points at the ends stay whole
    axis.grid(alpha=0.3)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=8)


def _save(figure: Figure, path: Path) -> None:
    """The same cells give the same bytes: no date, no random ids."""
    metadata: dict[str, Any] = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    with rc_context({"svg.hashsalt": "agentx"}):
        figure.savefig(path, dpi=150, metadata=metadata)
