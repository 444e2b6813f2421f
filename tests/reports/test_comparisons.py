"""Comparisons between cells, and how agents fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentx.evaluation.statistics import mcnemar
from agentx.evaluation.store import ResultStore
from agentx.reports.collect import collect
from agentx.reports.comparisons import compare, comparisons_table
from agentx.reports.facts import CellFacts, EpisodeFacts, Pool, pools
from agentx.reports.failures import diverges_at, failure_tables, tuning_table
from agentx.trajectory import Candidate, Outcome, Step, Trajectory, Verdict
from agentx.trajectory import Path as Attempt


def pooled(cells: Path) -> list[Pool]:
    rows = collect(cells)
    return pools(
        [CellFacts(row, [EpisodeFacts.of(t) for t in ResultStore(row.directory).trajectories()]) for row in rows]
    )


TASK = {"name": "household", "source": "generated", "seed": 0}


def test_cells_that_differ_in_one_thing_are_compared(make_cell: Any, cells: Path) -> None:
    make_cell("a", rewards=[0.0] * 10, task=TASK)
    make_cell("b", rewards=[1.0] * 8 + [0.0] * 2, method={"name": "ours", "num_path": 2, "num_branch": 2}, task=TASK)
    make_cell(
        "c", rewards=[0.0] * 10, method={"name": "ours", "num_path": 2, "num_branch": 2}, task=TASK, **{"lambda": 0.1}
    )
    found = compare(pooled(cells))
    assert sorted((c.a.row.directory.name, c.b.row.directory.name, c.factor) for c in found) == [
        ("a", "b", "method"),
        ("c", "b", "training"),
    ]
    best = next(c for c in found if c.factor == "method")
    assert (best.test.only_a, best.test.only_b, best.test.n) == (0, 8, 10)
    assert best.test.p_value == mcnemar(0, 8) and best.adjusted == 2 * best.test.p_value
    table = comparisons_table(found)
    assert table is not None and table.notes[0].startswith("2 of 2 differences")
    assert "react → ours 2×2 (tiny, lora, experts + chats, λ=0.5)" in [line[0] for line in table.rows]
    assert {record["p_holm"] for record in table.records} == {2 * best.test.p_value}


def test_other_problems_are_never_paired(make_cell: Any, cells: Path) -> None:
    """Generated problems of another seed bear the same names."""
    make_cell("a", task=TASK)
    make_cell("b", task={**TASK, "seed": 1}, method={"name": "io"}, seed=1)
    make_cell("c", task={**TASK, "objects": 20}, method={"name": "io"})
    assert compare(pooled(cells)) == [] and comparisons_table([]) is None


def test_seeds_are_pooled_and_cells_alike_are_not(make_cell: Any, cells: Path) -> None:
    for seed in (0, 1):
        make_cell(f"a{seed}", task={**TASK, "seed": seed}, seed=seed)
        make_cell(f"b{seed}", task={**TASK, "seed": seed}, seed=seed, method={"name": "io"}, rewards=[0.0, 0.0])
    make_cell("other-weights", task=TASK)
    found = pooled(cells)
    assert sorted(pool.n for pool in found) == [2, 4, 4]
    first = next(c for c in compare(found) if c.a.n == c.b.n == 4)
    assert first.test.n == 4 and first.test.only_b == 2
    assert next(pool for pool in found if pool.n == 4).success().n == 4


def test_a_seed_of_official_samples_is_a_further_trial(make_cell: Any, cells: Path) -> None:
    for seed in (0, 1):
        make_cell(f"a{seed}", label="ALFWorld (dev)", task={"source": "official", "seed": seed}, seed=seed)
    (pool,) = pooled(cells)
    assert pool.success().method == "wilson, clustered by sample" and len(pool.values("success")) == 4


def test_rewards_between_0_and_1_are_compared_as_well(make_cell: Any, cells: Path) -> None:
    make_cell("a", rewards=[0.1, 0.3, 0.2, 0.4], task=TASK)
    make_cell("b", rewards=[0.6, 0.7, 0.8, 0.9], task=TASK, method={"name": "io"})
    success, reward = compare(pooled(cells))
    assert (success.metric, reward.metric) == ("success", "reward")
    # io comes before react.
    assert reward.test.difference == pytest.approx(-0.5) and reward.effect is not None and reward.effect < -0.8


def episode(sample: str, verdicts: list[Verdict], success: bool = False) -> Trajectory:
    steps = [
        Step(i, [Candidate("x", "go", forgiven=[])], 0, "ok", 0.0, False, verdict, executed=f"go {i}")
        for i, verdict in enumerate(verdicts)
    ]
    path = Attempt(0, [], [], steps, float(success), Outcome.COMPLETED)
    return Trajectory(sample, 0, [path], reward=float(success), success=success, outcome=Outcome.COMPLETED)


def test_before_and_after_tuning(make_cell: Any, cells: Path) -> None:
    for name, verdict, tuning in (("a", Verdict.INVALID_FORMAT, "none"), ("b", Verdict.VALID, "lora")):
        directory = make_cell(name, rewards=[], expected=12, summarised=False, tuning={"name": tuning}, task=TASK)
        for i in range(12):
            ResultStore(directory).append(episode(f"s{i}", [verdict] * 5 + [Verdict.HALLUCINATED]))
    table = tuning_table(pooled(cells))
    assert table is not None
    lines = {line[0]: dict(zip(table.columns, line, strict=True)) for line in table.rows}
    assert {"format errors", "invalid actions", "hallucinated objects", "loops"} < set(lines)
    assert table.shared["model"] == "tiny" and table.shared["λ"] == "0.5"
    errors = lines["format errors"]
    assert errors["before tuning"].startswith("83.3 [") and errors["after"].startswith("0.0 [")
    assert errors["after - before"].startswith("-83.3") and errors["p (Holm)"].endswith("*")
    # What never happened is not tested.
    assert lines["loops"]["after - before"] == lines["loops"]["p"] == lines["loops"]["p (Holm)"] == "–"


def test_where_paths_part() -> None:
    assert diverges_at(["a", "b"], ["a", "c"]) == 1
    assert diverges_at(["a"], ["a", "c"]) == 1
    assert diverges_at(["a", "b"], ["a", "b"]) is None
    assert diverges_at([], ["a"]) == 0


def test_paths_judge_and_subtasks_are_counted(make_cell: Any, cells: Path) -> None:
    directory = make_cell("a", rewards=[], expected=2, summarised=False)
    done = Step(0, [Candidate("x", "go")], 0, "ok", 0.0, False, Verdict.VALID, 0, True, executed="go")
    later = Step(1, [Candidate("x", "go")], 0, "ok", 1.0, True, Verdict.VALID, 1, False, executed="put")
    paths = [
        Attempt(0, [], ["find it", "put it"], [done], 0.0, Outcome.TASK_LIMIT, judged_success=True),
        Attempt(1, [], ["find it", "put it"], [done, later], 1.0, Outcome.COMPLETED, judged_success=True),
    ]
    ResultStore(directory).append(
        Trajectory("s0", 0, paths, [], 1, 1.0, True, Outcome.COMPLETED, metadata={"kind": "pick"})
    )
    tables = {table.title: table for table in failure_tables(pooled(cells))}
    (parts,) = tables["Where paths part"].rows
    assert parts[2:] == ["1", "1", "2", "0.0", "100.0", "0.0", "100.0"]
    (judge,) = tables["The judge against the true outcome"].rows
    assert judge[2:7] == ["2", "1", "1", "0", "0"]
    assert judge[7].startswith("50.0 [") and judge[8].startswith("100.0 [")
    assert [line[2:] for line in tables["Which subtasks fail"].rows] == [
        ["1", "2", "100.0", "100.0"],
        ["2", "2", "50.0", "0.0"],
    ]
