from __future__ import annotations

import csv
import io
import re
import shlex
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from agentx.config import from_hydra
from agentx.evaluation.store import ResultStore
from agentx.reports.collect import Row, collect
from agentx.reports.facts import CellFacts, EpisodeFacts, pools
from agentx.reports.latex import escape_latex
from agentx.reports.paper_tables import not_run, tables_as_run, tables_beside_the_paper
from agentx.reports.paper_values import benchmark_of, command_of, matching, paper_cells
from agentx.reports.tables import Table, escape_markdown, print_table, printable, results_csv, results_table

CONF = Path(__file__).resolve().parents[2] / "conf"


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


def line_of(tables: list[Any], table: str, row: str) -> tuple[dict[str, str], dict[str, str]]:
    """The paper's line and ours, by column."""
    found = next(t for t in tables if t.title.startswith(table))
    i = next(i for i, line in enumerate(found.rows) if line[0] == row)
    paper, ours = (dict(zip(found.columns, found.rows[k], strict=True)) for k in (i, i + 1))
    return paper, ours


def test_the_paper_stands_beside_its_own_benchmark(make_cell: Any, cells: Path) -> None:
    common = {"label": "ALFWorld (dev)", "model": {"name": "openchat-13b"}, "tuning": {"name": "none"}}
    make_cell("a", rewards=[1.0, 1.0] + [0.0] * 18, method={"name": "ours", "num_path": 2, "num_branch": 2}, **common)
    make_cell("b", rewards=[1.0] * 20, method={"name": "react"}, **common)
    make_cell("c", rewards=[1.0] * 20, method={"name": "other"}, **common)
    rows = collect(cells)
    tables = tables_beside_the_paper(rows)
    assert [table.title[:7] for table in tables] == ["Table 1", "Table 2", "Table 3", "Table 4"]
    paper, ours = line_of(tables, "Table 2", "openchat_v3.2 ReAct")
    assert (paper["ALFWorld"], ours["ALFWorld"]) == ("5 [1, 24]", "100.0 [83.9, 100.0] n=20, +95.0 ✗")
    paper, ours = line_of(tables, "Table 2", "openchat_v3.2 ours")
    assert (paper["ALFWorld"], ours["ALFWorld"]) == ("10 [3, 30]", "10.0 [2.8, 30.1] n=20, +0.0 ✓")
    assert (paper["average"], ours["average"], ours["WebShop"]) == ("14.86", "–", "–")
    (record,) = [r for r in tables[1].records if r["row"] == "openchat_v3.2 ours" and r["task"] == "ALFWorld"]
    assert (record["ours"], record["paper"], record["difference"], record["paper_inside"]) == (10.0, 10.0, 0.0, True)
    assert any("20 tasks" in note and "rise by" in note for note in tables[1].notes)
    missing = not_run(rows)
    assert missing is not None and len(missing.rows) == len(paper_cells()) - 2
    assert not any(line[1:3] == ["openchat_v3.2 ours", "ALFWorld"] for line in missing.rows)


def test_another_split_than_the_papers_is_named(make_cell: Any, cells: Path) -> None:
    common = {"model": {"name": "openchat-13b"}, "tuning": {"name": "none"}, "method": {"name": "react"}}
    make_cell("a", label="ALFWorld (std)", **common)
    _, ours = line_of(tables_beside_the_paper(collect(cells)), "Table 2", "openchat_v3.2 ReAct")
    assert ours["ALFWorld"].endswith("other split")


def test_the_command_for_a_number_of_the_papers_is_that_cell_of_the_tables_experiment() -> None:
    """What it composes to is what the paper's number is matched with, on the benchmark's own data."""
    for cell in paper_cells()[::11]:
        line = command_of(cell)
        with initialize_config_dir(str(CONF), version_base="1.3"):
            composed = compose("config", overrides=shlex.split(line)[2:])
        config = from_hydra(composed)
        row = Row(Path("x"), config.resolved, {"label": f"{cell.benchmark} (dev)"})
        assert cell in matching(row), cell
        assert config.task.source == "official" and (config.trainer.accelerator == "gpu")


def test_generated_data_is_never_compared_with_the_paper(make_cell: Any, cells: Path) -> None:
    common = {"model": {"name": "openchat-13b"}, "tuning": {"name": "none"}, "method": {"name": "react"}}
    for i, label in enumerate(("household (generated)", "ALFWorld (generated)", "DB (SQLite stand-in)", "ALFWorldish")):
        make_cell(f"c{i}", label=label, **common)
    rows = collect(cells)
    assert [benchmark_of(row) for row in rows] == [None] * 4
    assert [matching(row) for row in rows] == [[]] * 4
    missing = not_run(rows)
    assert missing is not None and len(missing.rows) == len(paper_cells())


def test_rewards_are_compared_as_rewards_and_lambda_by_value(make_cell: Any, cells: Path) -> None:
    make_cell("a", rewards=[0.5, 0.4], label="WebShop (std)", model={"name": "llama2-7b"}, **{"lambda": 0.8})
    (row,) = collect(cells)
    assert [(cell.table, cell.row) for cell in matching(row)] == [("Table 4", "λ = 0.8")]
    paper, ours = line_of(tables_beside_the_paper([row]), "Table 4", "λ = 0.8")
    assert paper["WebShop"] == "23.35" and ours["WebShop"].startswith("45.0 [")


def test_stand_ins_and_approximations_are_marked(make_cell: Any, cells: Path) -> None:
    make_cell("a", label="database (generated, SQLite stand-in)", method={"name": "io"})
    make_cell("b", label="webshop (generated, approximate type match)", method={"name": "io"})
    table = results_table(collect(cells))
    assert [row[0] for row in table.rows] == ["io (g, s)", "io (g, t)"]
    assert any(note.startswith("(s) SQLite stand-in") for note in table.notes)
    assert any(note.startswith("(t) approximate type match") for note in table.notes)


def test_tables_in_the_shape_of_the_papers(make_cell: Any, cells: Path) -> None:
    for ratio in (0.1, 0.5):
        for label in ("household (generated)", "webshop (generated)"):
            make_cell(f"{ratio}{label[:3]}", label=label, **{"lambda": ratio})
    make_cell("alone", label="webshop (generated)", **{"lambda": 0.3})
    make_cell("solo", model={"name": "other"})
    tables = {table.title: table for table in tables_as_run(pools([CellFacts(r, facts(r)) for r in collect(cells)]))}
    table = tables["Table 4, as run here"]
    assert table.columns == ["cells", "λ", "household (generated)", "webshop (generated)"]
    assert [line[1] for line in table.rows] == ["λ=0.1", "λ=0.3", "λ=0.5"]
    assert table.rows[1][2] == "–" and table.rows[0][2] == "50.0 [9.5, 90.5] n=2 (g)"
    assert "Table 2, as run here" not in tables


def facts(row: Row) -> list[EpisodeFacts]:
    return [EpisodeFacts.of(trajectory) for trajectory in ResultStore(row.directory).trajectories()]


NASTY = '\\write18{ls} $x_1^2$ & 50% #1 ~ {a} <b> "q" | λ×– ✓ \x1b \u202e 漢 [x]'


def test_latex_is_plain_text_whatever_a_cell_holds() -> None:
    text = escape_latex(NASTY)
    assert "\\write18" not in text and "\\textbackslash{}write18\\{ls\\}" in text
    assert not re.search(r"(?<!\\)[&%#_]", text.replace("{\\_}", ""))
    assert "$\\lambda$$\\times$--" in text and "(inside)" in text
    assert all(ord(c) < 0x250 and (c >= " ") for c in text) and "U+6F22" in text
    latex = Table(NASTY, [NASTY, "b"], [[NASTY, "1"]], [NASTY]).to_latex()
    assert latex.count("\\begin") == latex.count("\\end") == 2
    assert latex.count("{") - latex.count("\\{") == latex.count("}") - latex.count("\\}")
    for part in ("\\toprule", "\\midrule", "\\bottomrule"):
        assert part in latex


@given(st.text(max_size=60))
def test_csv_of_a_table_reads_back(text: str) -> None:
    table = Table("t", ["a", ""], [[text, "1"]])
    (record,) = csv.DictReader(io.StringIO(table.to_csv(), newline=""))
    assert record["column 2"] == "1"
    assert record["a"].replace("\r", "\n").split() == printable(text).replace("\r", "\n").split()


def test_numbers_stand_at_the_right_and_words_at_the_left() -> None:
    rows = [
        ["a", "12.5 [3.0, 20.1]", "–", "missing", "", "-1.2", "< 0.001"],
        ["7", "3,040", "+0.5", "2 GB free", "1", "–", "0.04"],
        ["c", "–", "±3", "none", "×2", "−4", "1e-5"],
    ]
    table = Table("t", [f"column {i}" for i in range(7)], rows)
    assert table.numeric == [False, True, True, False, True, True, True]
    assert table.to_markdown().splitlines()[3] == "| --- | ---: | ---: | --- | ---: | ---: | ---: |"
    assert r"\begin{tabular}{lrrlrrr}" in table.to_latex()
    assert Table("empty", ["a", "b"], []).numeric == [False, True]
