from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from agentx.evaluation.store import ResultStore
from agentx.reports import report as report_module
from agentx.reports.collect import collect
from agentx.reports.figures import draw_figures
from agentx.reports.report import write_report

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
        if tag not in ("meta", "img"):
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
    report = write_report(cells)
    assert report.markdown == cells / "report" / "report.md"
    names = {path.name for path in report.figures}
    assert names == {
        f"{name}.{suffix}" for name in ("methods", "lambda", "num_path", "cost") for suffix in ("png", "svg")
    }
    for path in (report.markdown, report.html, report.csv, *report.figures, *report.pages):
        assert path.stat().st_size > 0
    assert [page.name for page in report.pages] == ["c.html", "b.html", "a.html", "d.html", "e.html"]
    markdown = report.markdown.read_text()
    for link in re.findall(r"\((?:<)?((?:figures|trajectories)/[^)>]+)", markdown):
        assert (report.markdown.parent / link).exists()
    # A report is not a cell: writing it again finds the same.
    assert len(write_report(cells).rows) == 5


def test_hostile_text_stays_text(make_cell: Any, cells: Path) -> None:
    make_cell("a", text=HOSTILE, error=HOSTILE, model={"name": HOSTILE.replace("\x00", "").replace("\ud800", "")})
    make_cell("b", text=HOSTILE, method={"name": "io"}, label=HOSTILE)
    report = write_report(cells)
    for path in (report.html, *report.pages):
        page = path.read_bytes().decode("utf-8")
        elements = Elements(page)
        assert elements.stack == []
        assert "script" not in elements.tags
        assert elements.attributes <= {
            "lang", "charset", "name", "content", "http-equiv", "class", "href", "src", "alt",
        }  # fmt: skip
        assert ("img" in elements.tags) == (path == report.html)
        assert not re.search("[\x00\x1b\u202e]", page)
        assert "{{ 7*7 }}" in elements.text and "49" not in re.findall(r"\{\{.*?\}\}|49 ", page)
    page = Elements(report.pages[0].read_text()).text
    assert page.count("</pre></details><script>alert(1)</script>") >= 8
    markdown = report.markdown.read_text()
    assert "<script" not in markdown and "<img" not in markdown
    assert not re.search(r"(?<!\\)\]\(javascript", markdown)
    assert "\n# heading" not in markdown


def test_pages_show_what_happened(make_cell: Any, cells: Path) -> None:
    make_cell("a", text="open the fridge", error="server gone")
    (page,) = write_report(cells).pages
    text = " ".join(Elements(page.read_text()).text.split())
    for part in (
        "s0: completed, reward 1",
        "> open the fridge [run as: open the fridge!]",
        "2 candidates",
        "judge says yes",
        "subtask 1 done, says the judge",
        "judge, plan: open the fridge",
        "judge, subtask_done:",
        "judge, task_done:",
        "judge, score:",
        "s2 (trial 0): not scored, server gone",
        "precision 0.5",
    ):
        assert part in text, part
    assert text.index("judge, plan:") < text.index("> open the fridge") < text.index("judge, subtask_done:")


def test_many_episodes_are_split_over_pages(make_cell: Any, cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_cell("a", rewards=[0.0] * 7)
    monkeypatch.setattr(report_module, "EPISODES_PER_PAGE", 3)
    pages = write_report(cells).pages
    assert [page.name for page in pages] == ["a.html", "a-2.html", "a-3.html"]
    assert [page.read_text().count('class="episode') for page in pages] == [3, 3, 1]
    assert 'href="a-3.html"' in pages[0].read_text()


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
        (first.markdown, first.html, first.csv, *first.figures, *first.pages),
        (second.markdown, second.html, second.csv, *second.figures, *second.pages),
        strict=True,
    ):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_figures_only_where_there_is_something_to_compare(make_cell: Any, cells: Path, tmp_path: Path) -> None:
    make_cell("a")
    assert draw_figures(collect(cells), tmp_path / "figures") == []
    make_cell("b", seed=1)
    assert {path.stem for path in draw_figures(collect(cells), tmp_path / "figures")} == {"cost"}
