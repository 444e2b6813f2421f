from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from agentx.review.agreement import agreements, cohens_kappa, preference

CHOICES = st.dictionaries(st.integers(0, 12).map(str), st.sampled_from(["accept", "reject"]))


def test_a_textbook_table() -> None:
    """20 both yes, 5 yes/no, 10 no/yes, 15 both no: observed 0.7, by chance 0.5, κ = 0.4."""
    pairs = [("accept", "accept")] * 20 + [("accept", "reject")] * 5 + [("reject", "accept")] * 10
    pairs += [("reject", "reject")] * 15
    a = {str(i): pair[0] for i, pair in enumerate(pairs)}
    b = {str(i): pair[1] for i, pair in enumerate(pairs)}
    found = cohens_kappa("a", "b", a, b)
    assert math.isclose(found.observed, 0.7) and math.isclose(found.kappa, 0.4)
    # Fleiss, Cohen and Everitt's standard error for this table, by hand: 0.1273
    assert math.isclose((found.high - found.low) / 2 / 1.959964, 0.1273, abs_tol=5e-4)


@given(CHOICES, CHOICES)
def test_kappa_is_symmetric_and_bounded(a: dict[str, str], b: dict[str, str]) -> None:
    one, two = cohens_kappa("a", "b", a, b), cohens_kappa("b", "a", b, a)
    assert one.n == two.n == len(a.keys() & b.keys())
    if not math.isnan(one.kappa):
        assert math.isclose(one.kappa, two.kappa, abs_tol=1e-12) and -1 <= one.low <= one.kappa + 1e-9 <= 1 + 1e-9


def test_perfect_agreement_and_agreement_that_chance_explains() -> None:
    mixed = {"1": "accept", "2": "reject"}
    assert cohens_kappa("a", "b", mixed, mixed).kappa == 1
    same = {"1": "accept", "2": "accept"}
    assert math.isnan(cohens_kappa("a", "b", same, same).kappa)


def test_reviewers_without_a_common_item_have_no_agreement() -> None:
    assert agreements({"a": {"1": "accept"}, "b": {"2": "accept"}, "c": {"1": "reject"}})[0].second == "c"


def test_ties_are_half_a_win() -> None:
    found = preference({"a": {"1": "second", "2": "first", "3": "tie", "4": "neither"}, "b": {"1": "second"}})
    assert (found.n, found.first, found.second, found.tie, found.neither) == (5, 1, 2, 1, 1)
    assert found.win_rate.value == 0.6 and found.win_rate.low < 0.6 < found.win_rate.high
