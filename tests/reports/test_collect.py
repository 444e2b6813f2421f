from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from agentx.errors import UserError
from agentx.reports.collect import collect


def test_rows_come_in_the_order_of_the_tables(make_cell: Any, cells: Path) -> None:
    make_cell("c", method={"name": "ours", "num_path": 2, "num_branch": 2})
    make_cell("b", method={"name": "io"})
    make_cell("a", method={"name": "react"}, num_path=None)
    make_cell("d", method={"name": "io"}, tuning={"name": "none"})
    rows = collect(cells)
    assert [(row.tuning, row.method) for row in rows] == [
        ("lora", "io"),
        ("lora", "react"),
        ("lora", "ours"),
        ("none", "io"),
    ]
    assert [row.agent_ratio for row in rows] == [0.5, 0.5, 0.5, None]
    assert (rows[2].num_path, rows[2].num_branch) == (2, 2)


def test_of_cells_that_differ_in_their_samples_the_smaller_come_first(make_cell: Any, cells: Path) -> None:
    for name, expected in (("a", 200), ("b", 24), ("c", 100)):
        make_cell(name, method={"name": "io"}, expected=expected, rewards=(1.0,))
    assert [row.directory.name for row in collect(cells)] == ["b", "c", "a"]


def test_the_top_level_width_overrides_the_methods(make_cell: Any, cells: Path) -> None:
    make_cell("a", method={"name": "ours", "num_path": 2, "num_branch": 2}, num_path=4)
    (row,) = collect(cells)
    assert (row.num_path, row.num_branch) == (4, 2)


@pytest.mark.parametrize(
    ("method", "oracle"),
    [
        ({"num_path": 2, "backtrack": {"enabled": True, "signal": "judge", "final": "last"}}, False),
        ({"num_path": 2, "backtrack": {"enabled": True, "signal": "env_reward", "final": "last"}}, True),
        ({"num_path": 2, "backtrack": {"enabled": True, "final": "best_by_reward", "of_another_version": 1}}, True),
        ({"num_path": 1, "backtrack": {"signal": "env_reward", "final": "best_by_reward"}}, False),
        ({}, False),
    ],
)
def test_oracles_are_recognised(make_cell: Any, cells: Path, method: dict[str, Any], oracle: bool) -> None:
    make_cell("a", method={"name": "x", **method})
    assert collect(cells)[0].uses_oracle is oracle


def test_a_cell_whose_run_died_is_scored_from_its_episodes(make_cell: Any, cells: Path) -> None:
    cell = make_cell("a", rewards=(1.0,), expected=4, summarised=False)
    (row,) = collect(cells)
    assert (row.n, row.summary["expected"], row.summary["complete"]) == (1, 4, False)
    assert not (cell / "summary.json").exists()


def test_what_cannot_be_read_is_left_out_and_named(
    make_cell: Any, cells: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_cell("good")
    for name, file, content in (
        ("no-config", "config.yaml", None),
        ("odd-config", "config.yaml", "- 1"),
        ("broken-yaml", "config.yaml", "a: [1"),
        ("evil-yaml", "config.yaml", "!!python/object/apply:os.system [false]"),
        ("odd-summary", "summary.json", "{}"),
        ("half-summary", "summary.json", "{"),
        ("odd-method", "config.yaml", "num_path: two"),
    ):
        path = make_cell(name) / file
        path.unlink() if content is None else path.write_text(content)
    with caplog.at_level(logging.WARNING):
        assert [row.directory.name for row in collect(cells)] == ["good"]
    assert len(caplog.records) == 7


def test_no_directory_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such directory"):
        collect(tmp_path / "nothing")
