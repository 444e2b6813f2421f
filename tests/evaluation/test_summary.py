from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentx.errors import UserError
from agentx.evaluation import metrics
from agentx.evaluation.store import ResultStore
from agentx.evaluation.summary import PLAN, SUMMARY, Plan, summarise, summarise_cell
from agentx.trajectory import Outcome, Trajectory, Verdict

Make = Callable[..., Trajectory]
V = Verdict


def plan(*episodes: tuple[str, int]) -> Plan:
    return Plan("scripted", "scripted (generated)", 1.0, list(episodes))


def test_failure_rates_by_hand(make_trajectory: Make) -> None:
    trajectories = [
        make_trajectory("a", verdicts=[V.VALID, V.HALLUCINATED, V.INVALID_ACTION, V.INVALID_FORMAT]),
        make_trajectory("b", verdicts=[V.VALID, V.VALID, V.VALID, V.VALID], notices=[[], [], ["loop"], ["loop"]]),
        make_trajectory("c", verdicts=[V.INVALID_FORMAT, V.INVALID_FORMAT]),
    ]
    rates = metrics.failure_rates(trajectories)
    assert rates["format_error"] == {"steps": 3, "episodes": 2, "per_step": 0.3, "per_episode": pytest.approx(2 / 3)}
    assert rates["invalid_action"] == {"steps": 2, "episodes": 1, "per_step": 0.2, "per_episode": pytest.approx(1 / 3)}
    assert rates["hallucinated_object"]["steps"] == 1
    assert (rates["loop"]["steps"], rates["loop"]["episodes"]) == (2, 1)
    assert metrics.failure_rates([])["loop"] == {"steps": 0, "episodes": 0, "per_step": None, "per_episode": None}


def test_judge_agreement(make_trajectory: Make) -> None:
    pairs = [(True, 1.0), (True, 0.0), (True, 0.5), (False, 1.0), (False, 0.0), (None, 1.0)]
    trajectories = [make_trajectory(f"s{i}", judged=judged, reward=reward) for i, (judged, reward) in enumerate(pairs)]
    agreement = metrics.judge_agreement(trajectories, 1.0)
    assert agreement is not None
    assert (agreement["paths"], agreement["precision"], agreement["recall"]) == (5, pytest.approx(1 / 3), 0.5)
    lenient = metrics.judge_agreement(trajectories, 0.5)
    assert lenient is not None and lenient["precision"] == pytest.approx(2 / 3)
    assert metrics.judge_agreement([make_trajectory()], 1.0) is None


def test_summary_counts_and_cost(make_trajectory: Make) -> None:
    trajectories = [
        make_trajectory("a", 0, 1.0, verdicts=[V.VALID] * 3, kind="pick"),
        make_trajectory("b", 0, 0.0, outcome=Outcome.TASK_LIMIT, kind="clean", seconds=3.0),
        make_trajectory("b", 1, 0.0, outcome=Outcome.INFRASTRUCTURE_ERROR),
    ]
    summary = summarise(
        trajectories, plan(("a", 0), ("a", 1), ("b", 0), ("b", 1)), [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    )
    assert (summary["n"], summary["expected"], summary["complete"]) == (2, 4, False)
    assert summary["missing"] == [["a", 1], ["b", 1]]
    assert (summary["infrastructure_errors"], summary["successes"]) == (1, 1)
    assert summary["success_rate"]["value"] == 0.5
    assert summary["outcomes"]["task_limit"] == 1 and "infrastructure_error" not in summary["outcomes"]
    assert summary["by_kind"] == {"clean": {"n": 1, "successes": 0}, "pick": {"n": 1, "successes": 1}}
    assert summary["cost"]["total"] == {
        "calls": 4,
        "prompt_tokens": 40,
        "completion_tokens": 8,
        "tokens": 48,
        "steps": 4,
        "replayed_steps": 0,
        "paths": 2,
    }
    assert summary["cost"]["per_episode"]["tokens"] == 24
    assert summary["timing"]["episode_seconds_mean"] == 2.0
    assert summary["timing"]["cached_tokens"] == 16


def test_what_was_not_expected_is_left_out(make_trajectory: Make) -> None:
    summary = summarise([make_trajectory("a", 0, 1.0), make_trajectory("old", 0, 1.0)], plan(), [("a", 0)])
    assert (summary["n"], summary["complete"]) == (1, True)


def test_nothing_finished_gives_nulls_not_zeros(make_trajectory: Make) -> None:
    summary = summarise([], plan(), [("a", 0)])
    assert summary["n"] == 0
    assert summary["success_rate"]["value"] is None and summary["reward"]["value"] is None
    assert summary["cost"]["per_episode"]["calls"] is None
    json.dumps(summary, allow_nan=False)


def test_pass_k_with_trials(make_trajectory: Make) -> None:
    trajectories = [make_trajectory("a", 0, 1.0), make_trajectory("a", 1, 0.0), make_trajectory("b", 0, 1.0)]
    trajectories.append(make_trajectory("b", 1, 1.0))
    assert metrics.pass_k(trajectories) == {"1": 0.75, "2": 0.5}
    assert metrics.pass_k(trajectories[::2]) is None


episode = st.tuples(
    st.sampled_from("abcdef"),
    st.integers(0, 2),
    st.floats(0, 1),
    st.lists(st.sampled_from(list(Verdict)), max_size=4),
    st.sampled_from(list(Outcome)),
    st.floats(0, 1e6),
)


@settings(max_examples=40, deadline=None)
@given(episodes=st.lists(episode, max_size=12, unique_by=lambda e: e[:2]), seed=st.integers(0, 1000))
def test_the_same_episodes_give_the_same_bytes_in_any_order(
    episodes: list[Any], seed: int, make_trajectory_: Make
) -> None:
    trajectories = [
        make_trajectory_(sample, trial, reward, verdicts, (), outcome, None, seconds)
        for sample, trial, reward, verdicts, outcome, seconds in episodes
    ]
    expected = [(sample, trial) for sample in "abcdef" for trial in range(3)]
    first = json.dumps(summarise(trajectories, plan(), expected), sort_keys=True)
    random.Random(seed).shuffle(trajectories)
    random.Random(seed).shuffle(expected)
    assert json.dumps(summarise(trajectories, plan(), expected), sort_keys=True) == first


@pytest.fixture(scope="module")
def make_trajectory_() -> Make:
    from agentx.trajectory import Candidate, Step
    from agentx.trajectory import Path as Attempt

    def make(
        sample: str, trial: int, reward: float, verdicts: Any, _: Any, outcome: Any, judged: Any, seconds: float
    ) -> Any:
        steps = [Step(i, [Candidate("r", "a")], 0, "o", reward, False, v) for i, v in enumerate(verdicts)]
        attempt = Attempt(0, [], [], steps, reward, outcome, judged)
        return Trajectory(sample, trial, [attempt], [], 0, reward, reward >= 1, outcome, seconds=seconds)

    return make


def test_interrupted_runs_give_the_summary_of_one_run(tmp_path: Path, make_trajectory: Make) -> None:
    trajectories = [make_trajectory(f"s{i}", 0, float(i % 2), seconds=0.1 * i) for i in range(6)]
    episodes = [(t.sample, t.trial) for t in trajectories]
    for name, order in (("once", trajectories), ("killed", trajectories[::-1])):
        cell = tmp_path / name
        store = ResultStore(cell)
        plan(*episodes).write(cell)
        for i, trajectory in enumerate(order):
            if name == "killed" and i == 3:
                with store.episodes_path.open("ab") as file:
                    file.write(b'{"sample": "s')
                store.append(Trajectory("s0", outcome=Outcome.INFRASTRUCTURE_ERROR, limit="gone"))
                store = ResultStore(cell)
                assert summarise_cell(cell)["missing"] == [["s0", 0], ["s1", 0], ["s2", 0]]
            store.append(trajectory)
        summarise_cell(cell)
    assert (tmp_path / "once" / SUMMARY).read_bytes() == (tmp_path / "killed" / SUMMARY).read_bytes()


def test_a_broken_plan_is_named(tmp_path: Path) -> None:
    (tmp_path / PLAN).write_text("[]")
    with pytest.raises(UserError, match=r"plan\.json: not a plan"):
        summarise_cell(tmp_path)
