from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentx.tasks.environment import TaskDataError
from agentx.tasks.mind2web.generator import generate_task
from agentx.tasks.mind2web.official import read_split
from agentx.tasks.mind2web.ranking import rank_candidates, recall


def test_the_element_the_task_speaks_of_comes_first(make_step: Any) -> None:
    ranked = rank_candidates(make_step(ranks=None))
    assert ranked.ranks["5"] == 0
    assert sorted(ranked.ranks.values()) == list(range(6))


def test_ranks_do_not_depend_on_what_is_right(make_step: Any) -> None:
    nodes = ("5", "3", "6", "8", "9", "10")
    ranks = [
        rank_candidates(make_step(positives=(nodes[n],), negatives=nodes[:n] + nodes[n + 1 :])).ranks for n in range(6)
    ]
    assert all(other == ranks[0] for other in ranks)


def test_recall_at_ten() -> None:
    steps = [step for number in range(60) for step in generate_task("test", 0, number)]
    assert recall(steps, 10) > 0.95
    assert recall(steps, 1) < recall(steps, 10)
    assert recall([], 10) == 0.0


def test_recall_at_ten_on_the_recorded_tasks(official_root: Path) -> None:
    steps = [rank_candidates(step) for step in read_split(official_root, "std", None)]
    assert recall(steps, 10) >= 0.9


def test_a_candidate_that_the_page_lacks_is_named(make_step: Any) -> None:
    with pytest.raises(TaskDataError, match=r"pages\.json, record 0, field cleaned_html: has no node 77"):
        rank_candidates(make_step(negatives=("77",)))


def test_markup_and_patterns_in_texts_are_harmless(make_step: Any) -> None:
    hostile = "(.*)+[ <b>&amp;\\ '\" $^" * 50
    assert len(rank_candidates(make_step(task=hostile, website=hostile)).ranks) == 6
