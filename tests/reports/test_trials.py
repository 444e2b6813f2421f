"""pass^k where samples were played several times."""

from __future__ import annotations

from pathlib import Path

from agentx.reports.collect import Row
from agentx.reports.facts import CellFacts, EpisodeFacts, Pool
from agentx.reports.trials import trials_table
from agentx.trajectory import Outcome, Trajectory

CONFIG = {"model": {"name": "tiny"}, "tuning": {"name": "none"}, "method": {"name": "react"}, "task": {"name": "x"}}
SUMMARY = {"label": "x", "n": 1, "complete": True, "infrastructure_errors": 0}


def pool(*successes: tuple[int, ...], seed: int = 0) -> CellFacts:
    """One tuple a sample, one number a trial."""
    episodes = [
        Trajectory(f"s{sample}", trial, reward=value, success=bool(value), outcome=Outcome.COMPLETED)
        for sample, trials in enumerate(successes)
        for trial, value in enumerate(trials)
    ]
    return CellFacts(Row(Path("x"), {**CONFIG, "seed": seed}, SUMMARY), [EpisodeFacts.of(e) for e in episodes])


def test_nothing_is_said_of_single_trials() -> None:
    assert trials_table([]) is None
    assert trials_table([Pool([pool((1,), (0,))])]) is None


def test_pass_k_for_every_k_up_to_the_trials() -> None:
    """Of two samples solved 2 of 2 and 1 of 2 times: pass^1 is 3/4; both tries succeed on the first alone."""
    table = trials_table([Pool([pool((1, 1), (1, 0))]), Pool([pool((1,))])])
    assert table is not None and table.columns[-2:] == ["pass^1 %", "pass^2 %"]
    *_, task, samples, trials, one, two = table.rows[0]
    assert len(table.rows) == 1 and not any("repeat each other" in note for note in table.notes)
    assert (task, samples, trials) == ("x", "2", "2")
    assert one.startswith("75.0 [50.0, 100.0]") and two.startswith("50.0 [0.0, 100.0]")


def test_seeds_of_a_benchmark_count_as_trials() -> None:
    table = trials_table([Pool([pool((1,), (1,)), pool((1,), (0,), seed=1)])])
    assert table is not None
    assert [list(line[6:9]) for line in table.rows] == [["2", "2", "75.0 [50.0, 100.0]"]]


def test_trials_that_repeat_each_other_are_named() -> None:
    table = trials_table([Pool([pool((1, 1), (0, 0))])])
    assert table is not None and any("in 1 of 1 lines every trial" in note for note in table.notes)
