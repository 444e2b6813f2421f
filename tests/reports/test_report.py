from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from agentx.evaluation.store import ResultStore
from agentx.reports import episodes
from agentx.reports.collect import collect
from agentx.reports.figures import draw_figures, overall_bars, score_against_cost
from agentx.reports.report import write_report
from agentx.trajectory import Outcome, Trajectory

HOSTILE = (
    "</pre></details><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7*7 }} {% raw %} & \" ' | `x` "
    "[link](javascript:x)\n\n# heading \x00\x1b[2J \u202e \ud800 ${x} $\\frac$"
)


class Elements(HTMLParser):
    """Tags and attributes of a page, and whether every element was closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.stack: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag not in ("meta", "img", "br"):
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_everything_is_written(make_cell: Any, cells: Path) -> None:
    make_cell("a", rewards=[1.0, 0.0, 1.0])
    make_cell("b", method={"name": "io"})
    make_cell("c", **{"lambda": 0.1})
    make_cell("d", method={"name": "ours", "num_path": 2, "num_branch": 2})
    make_cell("e", method={"name": "ours", "num_path": 3, "num_branch": 2})
    make_cell("f", label="webshop (generated)")
    make_cell("g", tuning={"name": "none"})
    report = write_report(cells)
    assert report.markdown == cells / "report" / "report.md"
    names = {path.name for path in report.figures}
    assert names == {
        f"{name}.{suffix}" for name in ("overall", "methods", "lambda", "num_path", "cost") for suffix in ("png", "svg")
    }
    for path in (report.markdown, report.html, report.csv, report.episodes, *report.figures, *report.tables):
        assert path.stat().st_size > 0
    tables = {path.stem for path in report.tables}
    assert {"results", "comparisons", "failures", "before-and-after-tuning", "table-4-as-run-here"} <= tables
    assert {"the-judge-against-the-true-outcome", "which-subtasks-fail", "not-run-yet"} <= tables
    assert {path.suffix for path in report.tables} == {".md", ".tex", ".csv", ".html"}
    markdown = report.markdown.read_text()
    for link in re.findall(r"\((?:<)?((?:figures|episodes)[^)>]*)", markdown):
        assert (report.markdown.parent / link).exists()
    for link in re.findall(r'href="(tables/[^"]+)"', report.html.read_text()):
        assert (report.html.parent / link).exists()
    # A report is not a cell: writing it again finds the same.
    assert len(write_report(cells).rows) == 7


def test_hostile_text_stays_text(make_cell: Any, cells: Path) -> None:
    """On the pages made here; what the episodes' page makes of it is tested in a browser (test_episodes.py)."""
    make_cell("a", text=HOSTILE, error=HOSTILE, model={"name": HOSTILE.replace("\x00", "").replace("\ud800", "")})
    make_cell("b", text=HOSTILE, method={"name": "io"}, label=HOSTILE)
    make_cell("c", text=HOSTILE, method={"name": "io"})  # beside the first, so that there is a figure
    report = write_report(cells)
    for path in (report.html, *(table for table in report.tables if table.suffix == ".html")):
        page = path.read_bytes().decode("utf-8")
        elements = Elements(page)
        assert elements.stack == []
        assert "script" not in elements.tags
        assert elements.attributes <= {
            "lang", "charset", "name", "content", "http-equiv", "class", "href", "src", "alt", "id",
        }  # fmt: skip
        assert ("img" in elements.tags) == (path == report.html)
        assert not re.search("[\x00\x1b\u202e]", page)
        assert "49" not in re.findall(r"\{\{.*?\}\}|49 ", page)
    assert "<script>alert(1)" in Elements(report.html.read_text()).text
    markdown = report.markdown.read_text()
    assert "<script" not in markdown and "<img" not in markdown
    assert not re.search(r"(?<!\\)\]\(javascript", markdown)
    assert "\n# heading" not in markdown
    data = "".join(path.read_text() for path in (report.episodes.parent / "data").rglob("*.js"))
    assert data.isascii() and "alert(1)" in data


def test_a_report_reads_only_what_has_changed(make_cell: Any, cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_cell("a", rewards=[1.0, 0.0])
    make_cell("b", method={"name": "io"})
    first = write_report(cells)
    before = {path: path.read_bytes() for path in (first.html, first.markdown, *first.tables)}
    read: list[str] = []
    stream = ResultStore.stream
    monkeypatch.setattr(ResultStore, "stream", lambda self: read.append(self.directory.name) or stream(self))
    write_report(cells)
    assert read == [] and {path: path.read_bytes() for path in before} == before
    (cells / "b" / "summary.json").unlink()
    ResultStore(cells / "b").append(Trajectory("s9", outcome=Outcome.COMPLETED))
    write_report(cells)
    assert read == ["b"]
    shutil.rmtree(cells / "b")
    write_report(cells)
    assert [path.name for path in (cells / "report" / "data").iterdir()] == ["a"]


def test_many_episodes_are_split_over_files(make_cell: Any, cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_cell("a", rewards=[0.0] * 7)
    monkeypatch.setattr(episodes, "CHUNK_CHARACTERS", 4000)
    data = write_report(cells).episodes.parent / "data" / "a"
    chunks = sorted(data.glob("[0-9]*.js"))
    assert 1 < len(chunks) < 7
    starts = json.loads((data / "facts.json").read_text())["starts"]
    assert starts[0] == 0 and len(starts) == len(chunks) and starts == sorted(starts)


def test_a_cell_without_results_still_has_its_line(make_cell: Any, cells: Path) -> None:
    make_cell("a", rewards=[], error="server gone")
    report = write_report(cells)
    assert "0 of 1" in report.markdown.read_text()
    assert "server gone" in report.markdown.read_text()
    assert report.figures == []
    assert ResultStore(cells / "a").done() == set()


def test_the_same_cells_give_the_same_bytes(make_cell: Any, cells: Path, tmp_path: Path) -> None:
    make_cell("a")
    make_cell("b", method={"name": "io"})
    first, second = (write_report(cells, tmp_path / name) for name in ("x", "y"))
    for one, other in zip(
        (first.markdown, first.html, first.csv, first.episodes, *first.figures, *first.tables),
        (second.markdown, second.html, second.csv, second.episodes, *second.figures, *second.tables),
        strict=True,
    ):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_figures_only_where_there_is_something_to_compare(make_cell: Any, cells: Path, tmp_path: Path) -> None:
    make_cell("a")
    assert draw_figures(collect(cells), tmp_path / "figures") == []
    make_cell("b", seed=1)
    assert {path.stem for path in draw_figures(collect(cells), tmp_path / "figures")} == {"cost"}


def test_what_cannot_be_compared_stands_in_panels_of_its_own(make_cell: Any, cells: Path) -> None:
    """Means over different tasks; costs of different tasks."""
    for model, labels in (("a", ("x", "y")), ("b", ("x", "z")), ("c", ("x", "y"))):
        for label in labels:
            make_cell(f"{model}{label}", label=label, model={"name": model})
    rows = collect(cells)
    bars = overall_bars(rows)
    assert bars is not None and sorted(len(axis.patches) for axis in bars.axes) == [1, 2]
    costs = score_against_cost(rows)
    assert costs is not None and [axis.get_title() for axis in costs.axes] == ["x", "x", "y", "y"]
