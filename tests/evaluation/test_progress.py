from __future__ import annotations

import io
import logging
from collections.abc import Callable

import pytest
from rich.console import Console

from agentx.evaluation.progress import ProgressLine
from agentx.trajectory import Outcome, Trajectory


def test_quiet_lines_where_there_is_no_terminal(
    make_trajectory: Callable[..., Trajectory], caplog: pytest.LogCaptureFixture
) -> None:
    output = io.StringIO()
    with (
        caplog.at_level(logging.INFO),
        ProgressLine("household", 10, done=2, successes=1, console=Console(file=output)) as progress,
    ):
        for i in range(3):
            progress.finished(make_trajectory(f"s{i}", reward=1.0))
        progress.finished(Trajectory("s9", outcome=Outcome.INFRASTRUCTURE_ERROR))
    first, last = [record.getMessage() for record in caplog.records]
    assert first == "household  2/10  success 50.0 %"
    assert last.startswith("household  5/10  success 80.0 %  1 infrastructure errors")
    assert "left" in last and output.getvalue() == ""


def test_a_live_line_on_a_terminal(make_trajectory: Callable[..., Trajectory]) -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=100)
    with ProgressLine("[bold]x[/bold]", 4, console=console) as progress:
        progress.finished(make_trajectory())
    assert "1/4" in output.getvalue() and "[bold]x[/bold]" in output.getvalue()
    assert "━━━━━━╌" in output.getvalue()


def test_nothing_to_do_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), ProgressLine("x", 4, done=4, console=Console(file=io.StringIO())):
        pass
    assert not caplog.records
