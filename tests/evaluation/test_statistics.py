from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from agentx.evaluation.statistics import (
    holm,
    mcnemar,
    mean_interval,
    paired_test,
    pass_hat_k,
    success_interval,
    wilson,
)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.9, 0.95]))
def test_wilson_equals_scipy(counts: tuple[int, int], confidence: float) -> None:
    successes, n = counts
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert wilson(successes, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_the_papers_cell_of_20_games_says_little() -> None:
    interval = success_interval([[i == 0] for i in range(20)])
    assert (interval.value, interval.n, interval.method) == (0.05, 20, "wilson")
    assert (round(interval.low, 3), round(interval.high, 3)) == (0.009, 0.236)


def test_identical_trials_add_no_certainty() -> None:
    once = [[i < 5] for i in range(20)]
    thrice = [[i < 5] * 3 for i in range(20)]
    single, repeated = success_interval(once), success_interval(thrice)
    assert repeated.n == 60
    assert (repeated.low, repeated.high) == pytest.approx((single.low, single.high))
    assert success_interval([[False] * 3] * 20).high == pytest.approx(wilson(0, 20)[1])


def test_independent_trials_do_add_certainty() -> None:
    generator = np.random.default_rng(1)
    clusters = [[bool(v) for v in generator.random(4) < 0.5] for _ in range(200)]
    clustered = success_interval(clusters)
    low, high = wilson(sum(map(sum, clusters)), 800)
    assert clustered.high - clustered.low == pytest.approx(high - low, rel=0.2)


@given(st.lists(st.lists(st.booleans(), max_size=4), max_size=12))
def test_success_intervals_contain_their_value(clusters: list[list[bool]]) -> None:
    interval = success_interval(clusters)
    assert 0 <= interval.low <= interval.high <= 1
    if interval.n:
        assert interval.low <= interval.value <= interval.high


def test_bootstrap_agrees_with_scipy_without_clusters() -> None:
    values = np.random.default_rng(0).beta(2, 5, size=80)
    interval = mean_interval([[v] for v in values])
    expected = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=3).confidence_interval
    assert interval.value == pytest.approx(values.mean())
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=0.004)
    assert interval.method == "bootstrap"


def test_bootstrap_redraws_samples_not_trials() -> None:
    values = np.random.default_rng(0).beta(2, 5, size=30)
    single = mean_interval([[v] for v in values])
    repeated = mean_interval([[v] * 5 for v in values])
    assert (repeated.low, repeated.high) == pytest.approx((single.low, single.high))
    assert repeated.n == 150
    assert mean_interval([[v] for v in values], seed=0) == single


def test_nothing_gives_no_number() -> None:
    assert math.isnan(mean_interval([]).value)
    assert math.isnan(success_interval([]).value)
    assert math.isnan(pass_hat_k([], 1))


def test_pass_hat_k() -> None:
    # 2 of 4, all of 4: (C(2,2)/C(4,2) + 1) / 2
    assert pass_hat_k([(2, 4), (4, 4)], 2) == pytest.approx((1 / 6 + 1) / 2)
    assert pass_hat_k([(2, 4), (4, 4), (1, 1)], 1) == pytest.approx((0.5 + 1 + 1) / 3)
    assert pass_hat_k([(1, 2), (2, 2)], 2) == 0.5


def test_mcnemar_known_values() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(0, 6) == pytest.approx(2 / 64)
    assert mcnemar(1, 9) == pytest.approx(0.021484375)


def test_paired_test_on_binary_outcomes_is_mcnemar() -> None:
    a = {(f"s{i}", 0): float(i < 3) for i in range(20)}
    b = {(f"s{i}", 0): float(i >= 1 and i < 12) for i in range(20)} | {("other", 0): 1.0}
    test = paired_test(a, b)
    assert (test.n, test.only_a, test.only_b, test.method) == (20, 1, 9, "McNemar, exact")
    assert test.difference == pytest.approx(0.4)
    assert test.p_value == pytest.approx(0.021484375)
    assert test.low < 0.4 < test.high
    with pytest.raises(ValueError, match="share no episode"):
        paired_test(a, {("other", 0): 1.0})


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-1, 1, allow_nan=False).map(lambda v: round(v, 3)), min_size=3, max_size=9))
def test_few_samples_are_flipped_in_every_way(differences: list[float]) -> None:
    a = {(f"s{i}", 0): 0.25 for i in range(len(differences))}
    b = {(f"s{i}", 0): 0.25 + difference for i, difference in enumerate(differences)}
    found = paired_test(a, b, resamples=100)
    assert found.method.startswith("sign-flip")
    # Exact enumeration, both ends of the statistic counted.
    total = abs(sum(differences))
    number = len(differences)
    as_extreme = sum(
        abs(sum(d if code >> i & 1 else -d for i, d in enumerate(differences))) >= total - 1e-9
        for code in range(2**number)
    )
    assert found.p_value == pytest.approx(as_extreme / 2**number, abs=1e-9)


def test_many_samples_permute_by_drawing() -> None:
    generator = np.random.default_rng(0)
    a = {(f"s{i}", t): float(generator.random()) for i in range(40) for t in range(2)}
    same = {key: value + float(generator.normal(0, 0.1)) for key, value in a.items()}
    better = {key: value + 0.2 + float(generator.normal(0, 0.1)) for key, value in a.items()}
    assert paired_test(a, same).p_value > 0.05
    assert paired_test(a, better).p_value < 0.001
    assert paired_test(a, better) == paired_test(dict(reversed(a.items())), better)


def test_holm_known_values() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []
