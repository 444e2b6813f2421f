"""The paper's tables 1 to 4: its numbers, ours beside them, and what has not been run yet; then the same tables over
whatever models and tasks were run here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from agentx.evaluation.effects import smallest_visible_rise
from agentx.evaluation.statistics import wilson
from agentx.reports.collect import Row
from agentx.reports.comparisons import name_of
from agentx.reports.facts import Pool
from agentx.reports.paper_values import (
    PaperCell,
    benchmarks,
    command_of,
    matching,
    measured,
    other_split,
    paper_cells,
    paper_tables,
)
from agentx.reports.tables import Table, marks, notes_on, percent, with_interval

NOTES = (
    "ours: value [95 % interval] n, difference to the paper's value; ✓ the paper's value lies in our interval, ✗ it "
    "does not; – not run yet",
    "in brackets behind the paper's values: the 95 % interval its own sample size gives (Wilson), where that is known",
)


def tables_beside_the_paper(rows: Sequence[Row]) -> list[Table]:
    """Tables 1 to 4 with a line of the paper's and a line of ours for each of its rows."""
    ours: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        for cell in matching(row):
            ours.setdefault((cell.table, cell.row, cell.benchmark), []).append(row)
    return [_table(document, ours) for document in paper_tables()]


def not_run(rows: Sequence[Row]) -> Table | None:
    """The paper's cells that nothing here reproduces yet, with the command for each; None where all are there."""
    done = {(cell.table, cell.row, cell.benchmark) for row in rows for cell in matching(row)}
    lines = [
        [cell.table, cell.row, cell.benchmark, command_of(cell)]
        for cell in paper_cells()
        if cell.match and (cell.table, cell.row, cell.benchmark) not in done
    ]
    notes = ["the folders after paths. are where your copies of the data lie; docs/using.md tells how to get them"]
    return Table("Not run yet", ["table", "cell", "task", "command"], lines, notes) if lines else None


def _table(document: dict[str, Any], ours: dict[tuple[str, str, str], list[Row]]) -> Table:
    columns: list[str] = document["columns"]
    lines, records, shown = [], [], []
    for entry in document["rows"]:
        label = entry["label"]
        cells = [
            PaperCell(document["name"], label, benchmark, float(value), entry.get("match", {}))
            for benchmark, value in zip(columns, entry["values"], strict=True)
        ]
        average = [f"{entry['average']:g}"] if "average" in entry else [""] * ("average" in document["rows"][0])
        lines.append([label, "paper", *[_paper_value(cell) for cell in cells], *average])
        found = [ours.get((cell.table, cell.row, cell.benchmark), []) for cell in cells]
        shown += [row for several in found for row in several]
        values = [
            [measured(row, cell.benchmark) for row in several] for cell, several in zip(cells, found, strict=True)
        ]
        records += [_record(cell, several) for cell, several in zip(cells, found, strict=True)]
        means = [100 * sum(v[0] or 0 for v in several) / len(several) for several in values if several]
        mean = [f"{sum(means) / len(means):.2f}" if len(means) == len(cells) else "–"] if average else []
        ours_text = [_ours(cell, several) for cell, several in zip(cells, found, strict=True)]
        lines.append(["", "ours", *ours_text, *mean])
    sizes = [
        _visible(name, entry["games"]) for name, entry in benchmarks().items() if "games" in entry and name in columns
    ]
    title = f"{document['name']}: {document['title']}"
    heads = ["", "", *columns, *(["average"] if "average" in document["rows"][0] else [])]
    return Table(title, heads, lines, [*NOTES, *sizes, *notes_on(shown)], records=records)


def _paper_value(cell: PaperCell) -> str:
    games = benchmarks()[cell.benchmark].get("games")
    if not games:
        return f"{cell.value:g}"
    low, high = wilson(round(cell.value / 100 * games), games)
    return f"{cell.value:g} [{percent(low, 0)}, {percent(high, 0)}]"


def _ours(cell: PaperCell, rows: Sequence[Row]) -> str:
    if not cell.match:
        return ""
    parts = []
    for row in rows:
        value, low, high = measured(row, cell.benchmark)
        if value is None:
            parts.append(f"– n={row.n}{marks(row)}")
            continue
        inside = "" if low is None or high is None else " ✓" if low <= cell.value / 100 <= high else " ✗"
        interval = "" if low is None else f" [{percent(low)}, {percent(high)}]"
        split = ", other split" if other_split(row) else ""
        difference = f"{100 * value - cell.value:+.1f}"
        parts.append(f"{percent(value)}{interval} n={row.n}, {difference}{inside}{marks(row)}{split}")
    return "; ".join(parts) or "–"


def _record(cell: PaperCell, rows: Sequence[Row]) -> dict[str, Any]:
    """The plain numbers; where several cells are the paper's, those of the first."""
    record: dict[str, Any] = {"table": cell.table, "row": cell.row, "task": cell.benchmark, "paper": cell.value}
    row = rows[0] if rows else None
    value, low, high = measured(row, cell.benchmark) if row else (None, None, None)
    known = value is not None and low is not None and high is not None
    return record | {
        "ours": None if value is None else 100 * value,
        "low": None if low is None else 100 * low,
        "high": None if high is None else 100 * high,
        "n": row.n if row else None,
        "difference": None if value is None else 100 * value - cell.value,
        "paper_inside": (low <= cell.value / 100 <= high) if known and low is not None and high is not None else None,
        "oracle": row.uses_oracle if row else None,
        "complete": row.summary["complete"] if row else None,
        "infrastructure_errors": row.summary["infrastructure_errors"] if row else None,
        "other_split": other_split(row) if row else None,
        "cell": row.directory.name if row else None,
        "command": command_of(cell) if cell.match and not row else None,
    }


def _visible(benchmark: str, games: int) -> str:
    rates = (1 / games, 0.3)
    rises = [smallest_visible_rise(rate, games) for rate in rates]
    parts = [
        f"above {100 * rate:.0f} % only a rise by {100 * rise:.0f} points or more"
        for rate, rise in zip(rates, rises, strict=True)
        if rise is not None
    ]
    return (
        f"{benchmark}: the paper played {games} tasks; such a sample shows {', '.join(parts)} (chance 80 %, level 5 %)"
    )


SHAPES: tuple[tuple[str, str, Callable[[Pool], tuple[str, str]]], ...] = (
    (
        "Table 1, as run here",
        "training data",
        lambda pool: (f"{pool.row.model}, {name_of(pool, 'method')}", name_of(pool, "training")),
    ),
    (
        "Table 2, as run here",
        "method",
        lambda pool: (f"{pool.row.model}, {name_of(pool, 'training')}", name_of(pool, "method")),
    ),
    (
        "Table 3, as run here",
        "width",
        lambda pool: (
            f"{pool.row.model}, {name_of(pool, 'training')}, {pool.row.method}",
            f"num_path={pool.row.num_path} num_branch={pool.row.num_branch}",
        ),
    ),
    (
        "Table 4, as run here",
        "λ",
        lambda pool: (
            f"{pool.row.model}, {pool.row.tuning} on {pool.row.data}, {name_of(pool, 'method')}",
            "" if pool.row.agent_ratio is None else f"λ={pool.row.agent_ratio:g}",
        ),
    ),
)
"""title, what varies down the rows, (block, row) of a pool; an empty row leaves the pool out"""


def tables_as_run(pools: Sequence[Pool]) -> list[Table]:
    """Our cells in the shape of the paper's tables, one column per task as it was played; only blocks in which at
    least two rows can be compared."""
    tables = []
    for title, varying, place in SHAPES:
        blocks: dict[str, dict[str, list[Pool]]] = {}
        for pool in pools:
            block, row = place(pool)
            if row:
                blocks.setdefault(block, {}).setdefault(row, []).append(pool)
        blocks = {name: rows for name, rows in blocks.items() if len(rows) > 1}
        used = [pool for rows in blocks.values() for several in rows.values() for pool in several]
        if not used:
            continue
        labels = sorted({pool.row.label for pool in used})
        lines = [
            [block, row, *[_value([pool for pool in several if pool.row.label == label]) for label in labels]]
            for block, rows in sorted(blocks.items(), key=lambda item: min(map(_place, item[1].values())))
            for row, several in sorted(rows.items(), key=lambda item: _place(item[1]))
        ]
        notes = ["success in % [95 % interval] n; where rewards are not just 0 and 1, the mean reward × 100 behind it"]
        notes += notes_on([pool.row for pool in used])
        tables.append(Table(title, ["cells", varying, *labels], lines, notes))
    return tables


def _place(pools: Sequence[Pool]) -> tuple[Any, ...]:
    """Where a row stands, whichever of the tasks it was played on."""
    return min(pool.row.sort_key[1:] for pool in pools)


def _value(pools: Sequence[Pool]) -> str:
    parts = []
    for pool in pools:
        text = f"{with_interval(pool.success().to_dict())} n={pool.n}{marks(pool.row)}"
        if any(value not in (0, 1) for value in pool.values("reward").values()):
            text += f", reward {with_interval(pool.reward().to_dict())}"
        parts.append(text)
    return "; ".join(parts) or "–"
