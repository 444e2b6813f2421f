"""The episodes' page in a real browser, opened from disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agentx.evaluation.store import ResultStore
from agentx.reports.collect import Row
from agentx.reports.report import write_episodes, write_report
from agentx.trajectory import Candidate, ModelCall, Outcome, Purpose, Step, Trajectory, Verdict
from agentx.trajectory import Path as Attempt

HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)> <svg onload=alert(3)> \"' ` ${alert(4)} {{7*7}} "
    "javascript:alert(5) \u2028 \u202e \x00 \ud800 </pre>"
)


def open_page(browser: Any, cells: Path, fragment: str = "") -> None:
    page = write_report(cells).episodes
    browser.open(page.as_uri() + fragment)
    browser.wait("document.documentElement.dataset.ready === 'yes'")


def pick(browser: Any, name: str, value: str) -> int:
    return browser.evaluate(
        f"(() => {{ const c = document.querySelector('.filters [name={name}]'); c.value = {value!r};"
        "c.dispatchEvent(new Event(c.tagName === 'INPUT' ? 'input' : 'change')); return agentx.list.found.length; })()"
    )


def text(browser: Any, selector: str) -> str:
    return browser.evaluate(f"document.querySelector({selector!r}).innerText")


def test_a_hostile_trajectory_stays_text(make_cell: Any, cells: Path, browser: Any) -> None:
    facts = {"model": {"name": HOSTILE.replace("\x00", "").replace("\ud800", "")}}
    make_cell("a", text=HOSTILE, error=HOSTILE, label=HOSTILE, **facts)
    make_cell("b", text=HOSTILE, label=HOSTILE, method={"name": "io"}, **facts)
    open_page(browser, cells, "#cell=a&sample=s0&with=b")
    browser.wait("document.querySelectorAll('article.episode').length === 2")
    browser.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    browser.wait("document.querySelectorAll('section.step').length === 2")
    page = text(browser, "main")
    assert page.count("</script><script>alert(1)</script>") >= 8
    assert "\\u202e" in page and "\u202e" not in page
    for tag in ("img", "iframe", "svg svg", "script:not([src^='viewer/']):not([src^='data/'])"):
        assert browser.evaluate(f'document.querySelectorAll("main {tag}, aside {tag}").length') == 0
    assert browser.dialogs == [] and browser.errors == []
    assert all(address.startswith(("file:", "about:")) for address in browser.requests)


def test_scripts_in_attributes_would_not_run_either(make_cell: Any, cells: Path, browser: Any) -> None:
    """The page's policy is a second wall: what got past the first could do nothing."""
    make_cell("a")
    open_page(browser, cells)
    browser.evaluate("document.querySelector('main').innerHTML = '<img src=x onerror=\"window.ran = 1\">'")
    browser.evaluate(
        "document.querySelector('main').append(Object.assign(document.createElement('script'),"
        "{text: 'window.ran = 1'}))"
    )
    assert browser.evaluate("window.ran === undefined")


def test_no_markup_is_ever_made_of_text() -> None:
    source = "".join(path.read_text() for path in (Path(__file__).parents[2] / "agentx/reports/viewer").glob("*.js"))
    for door in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc"):
        assert door not in source


def test_episodes_are_filtered_and_read(make_cell: Any, cells: Path, browser: Any) -> None:
    make_cell("a", rewards=[1.0, 0.0, 0.0], text="open the fridge", error="server gone")
    make_cell("b", method={"name": "io"}, label="database (generated)")
    open_page(browser, cells)
    assert text(browser, ".count") == "6 of 6 episodes, 2 solved"
    assert pick(browser, "task", "database (generated)") == 2
    assert pick(browser, "task", "") == 6
    assert pick(browser, "method", "react") == 4
    assert pick(browser, "outcome", "failure") == 2
    assert pick(browser, "outcome", "infrastructure error") == 1
    assert pick(browser, "outcome", "success") == 1
    assert pick(browser, "text", "nothing like it") == 0
    assert pick(browser, "text", "FRIDGE") == 1
    browser.evaluate("document.querySelector('.row').click()")
    browser.wait("document.querySelector('article.episode') !== null")
    page = text(browser, "main")
    for part in (
        "s0",
        "open the fridge",
        "ran: open the fridge!",
        "2 candidates",
        "reward 1",
        "subtask 1, judge: done",
        "counts",
    ):
        assert part in page, part
    assert browser.evaluate("location.hash") == "#cell=a&sample=s0"
    assert browser.evaluate("document.querySelectorAll('svg.tree .node').length") == 1
    assert browser.evaluate("document.querySelectorAll('svg.tree .candidate.again').length") == 1
    browser.evaluate("history.back()")
    browser.wait("document.querySelector('article.welcome') !== null")
    assert browser.errors == []


def test_two_methods_are_compared_on_one_sample(make_cell: Any, cells: Path, browser: Any) -> None:
    make_cell("a", text="go to desk 1")
    make_cell("b", text="go to bed 1", method={"name": "io"})
    open_page(browser, cells, "#cell=a&sample=s1")
    browser.wait("document.querySelector('.comparer select') !== null")
    browser.evaluate(
        "(() => { const s = document.querySelector('.comparer select'); s.value = '0';"
        "s.dispatchEvent(new Event('change')); })()"
    )
    browser.wait("document.querySelectorAll('article.episode').length === 2")
    assert "The paths that count do the same for 0 steps, then part." in text(browser, "main")
    assert browser.evaluate("[...document.querySelectorAll('article')].map(a => a.dataset.cell).join()") == "a,b"
    assert browser.evaluate("document.querySelectorAll('.chip.parted').length") == 2


def searched(sample: str) -> Trajectory:
    """A tree of thoughts: a root, two states, and one below the second of them."""
    paths = [Attempt(0, [{"role": "user", "content": "task"}])]
    for index, parent in ((1, 0), (2, 0), (3, 2)):
        step = Step(
            0 if parent == 0 else 1, [Candidate("x", f"go {index}", score=0.5)], 0, "ok", 0.0, False, Verdict.VALID
        )
        paths.append(
            Attempt(index, [], [], [step], float(index == 3), Outcome.COMPLETED, judged_score=0.5, parent=parent)
        )
    return Trajectory(sample, 0, paths, [], 3, 1.0, True, Outcome.COMPLETED)


def test_a_tree_of_thoughts_is_drawn_as_a_tree(make_cell: Any, cells: Path, browser: Any) -> None:
    directory = make_cell("a", rewards=[], expected=1, summarised=False)
    ResultStore(directory).append(searched("s0"))
    open_page(browser, cells, "#cell=a&sample=s0")
    browser.wait("document.querySelector('svg.tree') !== null")
    assert browser.evaluate("document.querySelectorAll('svg.tree .node').length") == 3
    assert browser.evaluate("document.querySelectorAll('svg.tree .edge.counts').length") == 2
    spots = browser.evaluate(
        "[...document.querySelectorAll('svg.tree .node circle')]"
        ".map(c => [+c.getAttribute('cx'), +c.getAttribute('cy')])"
    )
    assert len({tuple(spot) for spot in spots}) == 3


def big_cell(directory: Path, method: str, episodes: int) -> Row:
    """A cell of short episodes, with no more of a summary than the page shows."""
    store = ResultStore(directory)
    step = Step(0, [Candidate("ACTION: look", "look")], 0, "You see a desk 1.", 0.0, False, Verdict.VALID)
    call = ModelCall(Purpose.ACT, "policy", 0, 0, 0, 1, "ACTION: look", 300, 0, 20, 0.1, "stop")
    path = Attempt(0, [{"role": "user", "content": "task"}], [], [step])
    with store.episodes_path.open("wb") as file:
        for i in range(episodes):
            won = i % 7 == 0
            facts = {"kind": f"kind {i % 6}"}
            outcome = Outcome.COMPLETED if won else Outcome.TASK_LIMIT
            name = f"sample-{i:05d}"
            episode = Trajectory(name, 0, [path], [call], 0, float(won), won, outcome, metadata=facts)
            file.write(json.dumps(episode.to_dict()).encode() + b"\n")
    interval = {"value": 1 / 7, "low": 0.13, "high": 0.16}
    summary = {"label": "household (generated)", "n": episodes, "expected": episodes, "success_rate": interval}
    return Row(directory, {"model": {"name": "tiny"}, "method": {"name": method}}, summary)


def test_ten_thousand_episodes_stay_fluid(tmp_path: Path, browser: Any) -> None:
    rows = [big_cell(tmp_path / method, method, 5000) for method in ("io", "react")]
    write_episodes(rows, tmp_path / "report", "ten thousand")
    browser.open((tmp_path / "report" / "episodes.html").as_uri())
    browser.wait("document.documentElement.dataset.ready === 'yes'")
    assert text(browser, ".count").startswith("10,000 of 10,000")
    # Only what is in view is on the page.
    assert browser.evaluate("document.querySelectorAll('.row').length") < 60
    assert pick(browser, "text", "04999") == 2
    times = browser.evaluate("({list: agentx.readyMilliseconds, filter: agentx.filterMilliseconds})")
    print(f"list after {times['list']:.0f} ms, filter in {times['filter']:.1f} ms")
    pick(browser, "text", "")
    browser.evaluate("agentx.list.view.scrollTop = 46 * 9990")
    browser.wait("[...document.querySelectorAll('.row')].some(r => r.innerText.includes('sample-04999'))")
    assert browser.evaluate("document.querySelectorAll('.row').length") < 60
    browser.evaluate("agentx.list.open(agentx.list.found[9999])")
    browser.wait("document.querySelector('article.episode') !== null")
    # Of all the episodes' files, one was read.
    files = [address for address in browser.requests if address.rpartition("/")[2][:1].isdigit()]
    assert len(files) == 1
