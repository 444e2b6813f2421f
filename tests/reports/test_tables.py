from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from agentx.reports.collect import collect
from agentx.reports.paper_values import benchmark_of, comparison_table, matching, paper_cells
from agentx.reports.tables import escape_markdown, print_table, printable, results_csv, results_table


def test_results_table(make_cell: Any, cells: Path) -> None:
    make_cell("a", rewards=[1.0] * 9 + [0.0] * 11)
    make_cell("b", rewards=[1.0, 0.0], method={"name": "io"}, error="server gone")
    table = results_table(collect(cells))
    assert table.columns[:3] == ["method", "n", "success %"]
    assert table.shared["tuning"] == "lora on experts + chats"
    assert table.shared["task"] == "household (generated)" and table.shared["λ"] == "0.5"
    assert table.rows[0][:3] == ["io (g, i, e)", "2 of 3", "50.0 [9.5, 90.5]"]
    # Wilson's interval for 9 of 20.
    assert table.rows[1][:3] == ["react (g)", "20", "45.0 [25.8, 65.8]"]
    record = dict(zip(table.columns, table.rows[1], strict=True))
    assert (record["calls"], record["tokens"], record["steps"]) == ("5.0", "244", "1.0")
    assert [note[:3] for note in table.notes[1:]] == ["(g)", "(i)", "(e)"]


def test_what_differs_becomes_a_column(make_cell: Any, cells: Path) -> None:
    make_cell("a")
    make_cell("b", **{"lambda": 0.8}, seed=1)
    table = results_table(collect(cells))
    assert table.columns[:3] == ["method", "λ", "seed"]
    assert [row[1] for row in table.rows] == ["0.5", "0.8"]


def test_nothing_evaluated_yet(cells: Path) -> None:
    cells.mkdir()
    assert "nothing has been evaluated yet" in results_table(collect(cells)).to_markdown()
    assert results_csv([]) == "\n"


def test_the_console_table_is_whole_and_takes_no_markup(make_cell: Any, cells: Path) -> None:
    make_cell("a", model={"name": "[red]x[/red]\x1b[2J"})
    make_cell("b", model={"name": "y"})
    output = io.StringIO()
    print_table(results_table(collect(cells)), Console(file=output))
    text = output.getvalue()
    assert "[red]x[/red]\\u001b[2J" in text and "\x1b" not in text
    assert re.search(r"react \(g\).*50\.0 \[9\.5, 90\.5\].*244", text)


def test_csv_has_plain_numbers(make_cell: Any, cells: Path) -> None:
    make_cell("a", rewards=[1.0, 0.0, 0.0, 0.0])
    (record,) = csv.DictReader(io.StringIO(results_csv(collect(cells))))
    assert (record["success_rate"], record["n"], record["lambda"]) == ("0.25", "4", "0.5")
    assert record["loop_per_episode"] == "0.0"


@given(st.text())
def test_escaped_text_stays_one_inert_line(text: str) -> None:
    escaped = escape_markdown(text)
    assert "\n" not in escaped and "<" not in escaped and ">" not in escaped
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`*\[\]]", escaped)
    escaped.encode()


@given(st.text(st.characters()))
def test_printable_text_has_no_control_characters(text: str) -> None:
    shown = printable(text)
    shown.encode()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)


def test_the_papers_numbers_are_all_there() -> None:
    counts = {name: sum(cell.table == name for cell in paper_cells()) for name in ("Table 1", "Table 2", "Table 3")}
    assert counts == {"Table 1": 50, "Table 2": 48, "Table 3": 8}
    assert len(paper_cells()) == 106 + 16
    values = {(cell.table, cell.row, cell.benchmark): cell.value for cell in paper_cells()}
    assert values["Table 1", "agenttuning", "DB"] == 38.30
    assert values["Table 2", "AgentLM-7B ours", "WebShop"] == 51
    assert values["Table 3", "num_branch=3", "WebShop"] == 6.80
    assert values["Table 4", "λ = 0.8", "ALFWorld"] == 5


def test_the_paper_stands_beside_its_own_benchmark(make_cell: Any, cells: Path) -> None:
    common = {"label": "ALFWorld (dev)", "model": {"name": "openchat-13b"}, "tuning": {"name": "none"}}
    make_cell("a", rewards=[1.0, 1.0] + [0.0] * 18, method={"name": "ours", "num_path": 2, "num_branch": 2}, **common)
    make_cell("b", rewards=[1.0] * 20, method={"name": "react"}, **common)
    make_cell("c", rewards=[1.0] * 20, method={"name": "other"}, **common)
    table = comparison_table(collect(cells))
    assert table is not None
    react, ours = table.rows
    assert react[:4] == ["Table 2", "openchat_v3.2 ReAct", "ALFWorld (dev)", "none"]
    assert react[4:] == ["20", "100.0 [83.9, 100.0]", "5", "+95.0", "no"]
    assert ours[1] == "openchat_v3.2 ours"
    assert ours[4:] == ["20", "10.0 [2.8, 30.1]", "10", "+0.0", "yes"]


def test_generated_data_is_never_compared_with_the_paper(make_cell: Any, cells: Path) -> None:
    common = {"model": {"name": "openchat-13b"}, "tuning": {"name": "none"}, "method": {"name": "react"}}
    for i, label in enumerate(("household (generated)", "ALFWorld (generated)", "DB (SQLite stand-in)", "ALFWorldish")):
        make_cell(f"c{i}", label=label, **common)
    rows = collect(cells)
    assert [benchmark_of(row) for row in rows] == [None] * 4
    assert [matching(row) for row in rows] == [[]] * 4
    assert comparison_table(rows) is None


def test_rewards_are_compared_as_rewards_and_lambda_by_value(make_cell: Any, cells: Path) -> None:
    make_cell("a", rewards=[0.5, 0.4], label="WebShop (std)", model={"name": "llama2-7b"}, **{"lambda": 0.8})
    (row,) = collect(cells)
    assert [(cell.table, cell.row) for cell in matching(row)] == [("Table 4", "λ = 0.8")]
    table = comparison_table([row])
    assert table is not None and table.rows[0][5].startswith("45.0 [") and table.rows[0][6] == "23.35"
