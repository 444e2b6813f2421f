"""Tables of results: for the console, Markdown and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.table import Table as RichTable
from rich.text import Text

from agentx.reports.collect import Row

NOT_PRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

NUMBER = re.compile(r"[–-]?$|[-+−±<>≥≤≈×]?\s*\.?\d")
"""what a cell of a column of numbers begins with; a dash or nothing where there is none"""

MARKS: tuple[tuple[str, Callable[[Row], bool], str], ...] = (
    ("g", lambda row: "generated" in row.label, "generated data: not a score of the benchmark of that kind"),
    ("o", lambda row: row.uses_oracle, "oracle: the true reward decided when to stop or which path counts"),
    (
        "s",
        lambda row: "sqlite stand-in" in row.label.lower(),
        "SQLite stand-in: not MySQL, on which the benchmark runs",
    ),
    (
        "t",
        lambda row: "approximate type match" in row.label,
        "approximate type match: rewards without spaCy's large model, which the benchmark uses",
    ),
    ("i", lambda row: not row.summary["complete"], "incomplete: scored on the episodes finished so far"),
    (
        "e",
        lambda row: row.summary["infrastructure_errors"] > 0,
        "infrastructure errors: not scored, tried again next run",
    ),
    ("b", lambda row: bool(row.summary.get("stopped")), "stopped by the budget of the whole run (run_budget)"),
    (
        "v",
        lambda row: bool(row.summary.get("not_repeatable")),
        "may vary: a back end that does not promise the same reply to the same request",
    ),
)
"""letter, when it applies, what it says"""

RATES_NOTE = (
    "success in % with its 95 % interval, reward × 100; format, invalid, halluc.: % of environment steps; "
    "loop: % of episodes; calls, tokens, steps, cost: mean per episode, over all "
    "paths"
)


@dataclass(frozen=True)
class Table:
    """Cells as text. `shared` holds the columns that were equal in every row, `notes` what stands below."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    shared: dict[str, str] = field(default_factory=dict)
    records: Sequence[Mapping[str, Any]] = ()
    """the same as plain numbers, for the CSV file; where empty, the cells as they are"""

    @property
    def slug(self) -> str:
        """For file names."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") or "table"

    @property
    def caption(self) -> str:
        return " · ".join(f"{name} {value}" for name, value in self.shared.items())

    @property
    def numeric(self) -> list[bool]:
        """Of each column, whether it holds numbers and is therefore set to the right; the first never is."""
        return [i > 0 and all(NUMBER.match(row[i]) for row in self.rows) for i in range(len(self.columns))]

    def to_markdown(self) -> str:
        lines = [f"**{escape_markdown(self.title)}**", ""] if self.title else []
        if self.caption:
            lines += [escape_markdown(self.caption), ""]
        lines.append(_markdown_row(self.columns))
        lines.append(_markdown_row(["---:" if right else "---" for right in self.numeric], escape=False))
        lines += [_markdown_row(row) for row in self.rows]
        if self.notes:
            lines += ["", *[f"{escape_markdown(note)}  " for note in self.notes]]
        return "\n".join(lines) + "\n"

    def to_csv(self) -> str:
        output = io.StringIO()
        records = self.records or [dict(zip(self._heads, row, strict=True)) for row in self.rows]
        names = list(dict.fromkeys(name for record in records for name in record)) or self._heads
        writer = csv.DictWriter(output, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        return "".join(character if character == "\n" else printable(character) for character in output.getvalue())

    def to_latex(self) -> str:
        """A booktabs table; needs \\usepackage{booktabs} and graphicx, which shrinks it to the page's width."""
        from agentx.reports.latex import escape_latex

        heads = " & ".join(rf"\textbf{{{escape_latex(column)}}}" if column else "" for column in self.columns)
        lines = [" & ".join(escape_latex(cell) for cell in row) + r" \\" for row in self.rows]
        notes = [rf"\par\footnotesize {escape_latex(note)}" for note in self.notes]
        title = escape_latex(f"{self.title}. {self.caption}" if self.caption else self.title)
        return "\n".join(
            [
                r"% needs \usepackage{booktabs} and \usepackage{graphicx}",
                r"\begin{table}",
                r"\centering",
                rf"\caption{{{title}}}",
                r"\resizebox{\textwidth}{!}{%",
                rf"\begin{{tabular}}{{{''.join('r' if right else 'l' for right in self.numeric)}}}",
                r"\toprule",
                heads + r" \\",
                r"\midrule",
                *lines,
                r"\bottomrule",
                r"\end{tabular}}",
                *notes,
                r"\end{table}",
                "",
            ]
        )

    @property
    def _heads(self) -> list[str]:
        """The columns' names, made unique."""
        return [name or f"column {i + 1}" for i, name in enumerate(self.columns)]

    def to_rich(self) -> Group:
        """For a rich console; nothing in the cells is taken for markup."""
        table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left")
        for column, right in zip(self.columns, self.numeric, strict=True):
            table.add_column(Text(printable(column)), justify="right" if right else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        head = [
            Text(printable(line), style=style) for line, style in ((self.title, "bold"), (self.caption, "")) if line
        ]
        return Group(*head, table, *(Text(printable(note), style="dim") for note in self.notes))


def with_shared_caption(table: Table, identity: Sequence[str]) -> Table:
    """The columns named `identity` that hold the same in all of several rows go to the caption."""
    if len(table.rows) < 2:
        return table
    constant = {
        i: table.rows[0][i]
        for i, name in enumerate(table.columns)
        if name in identity and len({row[i] for row in table.rows}) == 1
    }
    kept = [i for i in range(len(table.columns)) if i not in constant]
    return replace(
        table,
        columns=[table.columns[i] for i in kept],
        rows=[[row[i] for i in kept] for row in table.rows],
        shared={table.columns[i]: value for i, value in constant.items() if value != "–"},
        records=table.records or [dict(zip(table.columns, row, strict=True)) for row in table.rows],
    )


def results_table(rows: Sequence[Row], title: str = "Results") -> Table:
    """One line per cell; columns that are the same in all of several rows go to the caption."""
    records = [_record(row) for row in rows]
    identity = ("task", "model", "tuning", "λ", "seed", "paths", "branches", "planner", "judge")
    optional = ("seed", "paths", "branches")
    shared: dict[str, str] = {}
    hidden = set()
    for name in identity:
        values = {record[name] for record in records}
        if values == {"–"} and name in ("planner", "judge"):
            hidden.add(name)
        elif len(values) == 1 and (len(rows) > 1 or name in optional):
            hidden.add(name)
            if name not in optional and values != {"–"}:
                shared[name] = values.pop()
    first = ["method", *[name for name in identity if name not in hidden]]
    if all(record["cost"] == "–" for record in records):
        hidden.add("cost")
    shown = [name for name in (records[0] if records else {}) if name not in (*identity, "method", *hidden)]
    columns = [*first, *shown]
    cells = [[record[name] for name in columns] for record in records]
    notes = [RATES_NOTE, *notes_on(rows)] if rows else ["nothing has been evaluated yet"]
    return Table(title, columns, cells, notes, shared, [raw_record(row) for row in rows])


def print_table(table: Table, console: Console | None = None) -> None:
    """Print for people; where the output is not a terminal, wide enough that nothing is folded."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=max(console.width, 200))
    console.print(table.to_rich())


def results_csv(rows: Sequence[Row]) -> str:
    """One line per cell with plain numbers: shares from 0 to 1, empty where a number does not exist."""
    records = [raw_record(row) for row in rows]
    output = io.StringIO()
    names = list(dict.fromkeys(name for record in records for name in record))
    writer = csv.DictWriter(output, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return output.getvalue()


def raw_record(row: Row) -> dict[str, Any]:
    """A cell as flat plain values."""
    summary = row.summary
    success, reward = summary["success_rate"], summary["reward"]
    record: dict[str, Any] = {
        **row.record,
        "n": summary["n"],
        "expected": summary["expected"],
        "infrastructure_errors": summary["infrastructure_errors"],
        "success_rate": success["value"],
        "success_low": success["low"],
        "success_high": success["high"],
        "reward": reward["value"],
        "reward_low": reward["low"],
        "reward_high": reward["high"],
    }
    for name, rate in summary["failures"].items():
        record[f"{name}_per_step"] = rate["per_step"]
        record[f"{name}_per_episode"] = rate["per_episode"]
    record.update({f"{name}_per_episode": value for name, value in summary["cost"]["per_episode"].items()})
    record.update({f"metric_{name}": value for name, value in (summary.get("task_metrics") or {}).items()})
    spending = summary.get("spending") or {}
    record.update({"planner": row.role("planner"), "judge": row.role("judge"), "stopped": summary.get("stopped")})
    record.update({"priced": spending.get("priced"), "currency": spending.get("currency")})
    record.update(
        {"cost_per_episode": spending.get("cost_per_episode"), "cost_of_run": spending.get("run", {}).get("cost")}
    )
    record["call_cache_hit_rate"] = spending.get("cache", {}).get("hit_rate")
    record["seconds_per_episode"] = summary.get("timing", {}).get("episode_seconds_mean")
    return record


def marks(row: Row) -> str:
    """The letters of the notes that apply, as ' (g, i)', or nothing."""
    letters = ", ".join(letter for letter, applies, _ in MARKS if applies(row))
    return f" ({letters})" if letters else ""


def notes_on(rows: Sequence[Row]) -> list[str]:
    """What the letters that apply to some of the rows stand for, and how many episodes are missing."""
    return [f"({letter}) {note}" for letter, applies, note in MARKS if any(applies(row) for row in rows)]


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}"


def with_interval(interval: dict[str, Any]) -> str:
    """'45.0 [30.7, 60.2]' from an estimate as `Interval.to_dict` gives it."""
    if interval["value"] is None:
        return "–"
    return f"{percent(interval['value'])} [{percent(interval['low'])}, {percent(interval['high'])}]"


def printable(text: str) -> str:
    """Control, direction and surrogate characters, which could take over a terminal or a page, made visible."""
    return NOT_PRINTABLE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def escape_markdown(text: str) -> str:
    """Text that Markdown (and HTML within it) shows as it is, on one line."""
    text = printable(" ".join(text.split()))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#!~])", r"\\\1", text)


def _record(row: Row) -> dict[str, str]:
    summary = row.summary
    failures, cost = summary["failures"], summary["cost"]["per_episode"]
    number = str(row.n) if summary["complete"] else f"{row.n} of {summary['expected']}"
    return {
        "method": row.method + marks(row),
        "task": row.label,
        "model": row.model,
        "tuning": row.tuning if row.data is None else f"{row.tuning} on {row.data}",
        "λ": "–" if row.agent_ratio is None else f"{row.agent_ratio:g}",
        "seed": str(row.seed),
        "paths": str(row.num_path),
        "branches": str(row.num_branch),
        "planner": row.role("planner") or "–",
        "judge": row.role("judge") or "–",
        "n": number,
        "success %": with_interval(summary["success_rate"]),
        "reward": percent(summary["reward"]["value"]),
        "format": percent(failures["format_error"]["per_step"]),
        "invalid": percent(failures["invalid_action"]["per_step"]),
        "halluc.": percent(failures["hallucinated_object"]["per_step"]),
        "loop": percent(failures["loop"]["per_episode"]),
        "calls": _mean(cost["calls"]),
        "tokens": _mean(cost["tokens"], 0),
        "steps": _mean(cost["steps"]),
        "cost": money(row),
    }


def money(row: Row) -> str:
    """What an episode cost, with its currency; "unknown" without a price, "–" where nothing is paid by the token."""
    spending = row.summary.get("spending") or {}
    if spending.get("priced") == "unknown" and spending.get("roles"):
        return "unknown"
    cost = spending.get("cost_per_episode")
    return "–" if cost is None else f"{cost:.4f} {spending['currency']}"


def _mean(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _markdown_row(cells: Sequence[str], escape: bool = True) -> str:
    return "| " + " | ".join(escape_markdown(cell) if escape else cell for cell in cells) + " |"
