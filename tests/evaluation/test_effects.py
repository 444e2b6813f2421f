from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentx.evaluation.effects import (
    cohens_h,
    paired_d,
    paired_rates,
    pairs_to_see,
    samples_to_see,
    smallest_visible_rise,
)
from agentx.evaluation.statistics import bonett_price, mcnemar


def test_cohens_h_against_his_table() -> None:
    # Cohen (1988), table 6.2.2: phi(0.50) - phi(0.25) = 1.571 - 1.047
    assert cohens_h(0.25, 0.5) == pytest.approx(0.524, abs=1e-3)
    assert cohens_h(0.0, 1.0) == pytest.approx(math.pi)


@given(st.floats(0, 1), st.floats(0, 1))
def test_an_effect_changes_its_sign_with_the_direction(a: float, b: float) -> None:
    assert cohens_h(a, b) == -cohens_h(b, a)


def test_samples_to_see_is_what_a_simulation_needs() -> None:
    n = samples_to_see(0.3, 0.5)
    # Cohen's tables give 92 to 94 for h = 0.41, power 0.8, level 0.05, two-sided.
    assert n is not None and 90 <= n <= 96
    generator = np.random.default_rng(0)
    a, b = (generator.binomial(n, rate, 4000) / n for rate in (0.3, 0.5))
    pooled = (a + b) / 2
    z = np.abs(b - a) / np.sqrt(2 * pooled * (1 - pooled) / n)
    assert np.mean(z > 1.96) == pytest.approx(0.8, abs=0.03)
    assert samples_to_see(0.4, 0.4) is None


def test_pairs_to_see_is_what_mcnemar_needs() -> None:
    n = pairs_to_see(0.05, 0.25)
    assert n is not None
    draws = np.random.default_rng(1).multinomial(n, [0.05, 0.25, 0.7], size=1500)
    seen = np.mean([mcnemar(int(only_a), int(only_b)) < 0.05 for only_a, only_b, _ in draws])
    # The exact test is a little conservative.
    assert 0.65 < seen < 0.85
    assert pairs_to_see(0.1, 0.1) is None


def test_twenty_games_show_only_large_differences() -> None:
    """The paper's ALFWorld cells: from 1 of 20 games, less than a third more cannot be seen."""
    rise = smallest_visible_rise(0.05, 20)
    assert rise is not None and 0.3 < rise < 0.4
    assert samples_to_see(0.05, 0.05 + rise) in (20, 21)
    assert smallest_visible_rise(0.9, 3) is None and smallest_visible_rise(0.5, 0) is None


def test_paired_d() -> None:
    assert paired_d([1.0, 0.0, 1.0, 0.0]) == pytest.approx(0.5 / np.std([1, 0, 1, 0], ddof=1))
    assert paired_d([1.0]) is None and paired_d([0.5, 0.5]) is None


def test_no_differing_pair_is_no_certainty() -> None:
    low, high = bonett_price(0, 0, 12)
    assert low == -high and 0.15 < high < 0.25
    assert bonett_price(0, 0, 1000)[1] < 0.005
    # Bonett and Price (2012): the estimate is b - a of the counts with one added to each.
    assert sum(bonett_price(3, 9, 40)) / 2 == pytest.approx((10 - 4) / 42)


def test_rates_per_step_are_compared_by_sample() -> None:
    generator = np.random.default_rng(2)
    before = {f"s{i}": (float(generator.binomial(20, 0.4)), 20.0) for i in range(40)}
    after = {f"s{i}": (float(generator.binomial(10, 0.1)), 10.0) for i in range(40)}
    test = paired_rates(before, after, resamples=2000)
    assert test.n == 40 and test.p_value < 0.002
    assert test.low < test.difference < test.high < 0
    assert test.difference == pytest.approx(-0.3, abs=0.06)
    same = paired_rates(before, before, resamples=2000)
    assert same.difference == 0 and same.p_value == 1
    with pytest.raises(ValueError, match="share no sample"):
        paired_rates(before, {"other": (1.0, 2.0)})


def test_one_long_sample_is_no_evidence() -> None:
    """A thousand steps of one sample against one of another are a single pair."""
    assert paired_rates({"s": (900.0, 1000.0)}, {"s": (0.0, 1000.0)}, resamples=500).p_value > 0.4
