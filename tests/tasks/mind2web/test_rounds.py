from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentx.tasks.mind2web.rounds import NOTHING, Prediction, Rounds, most_rounds
from agentx.tasks.mind2web.settings import Rules


def perfect(count: int, right: int, rules: Rules) -> tuple[Prediction, int, set[str]]:
    """A perfect agent among `count` candidates: its prediction, the questions, and who was asked about."""
    rounds, questions, seen = Rounds.start([str(n) for n in range(count)], 5, rules), 0, set()
    while rounds.batch:
        seen |= set(rounds.batch)
        questions += 1
        rounds = rounds.answer(str(right) if str(right) in rounds.batch else None, "CLICK ")
    return rounds.prediction, questions, seen


@given(st.integers(1, 40), st.data())
def test_under_corrected_rules_everyone_is_asked_about_and_a_perfect_agent_is_right(
    count: int, data: st.DataObject
) -> None:
    right = data.draw(st.integers(0, count - 1))
    prediction, _, seen = perfect(count, right, "corrected")
    assert seen == {str(n) for n in range(count)}
    assert prediction == Prediction(str(right), "CLICK ")


def test_under_faithful_rules_the_last_one_left_is_never_asked_about() -> None:
    prediction, questions, seen = perfect(6, 5, "faithful")
    assert prediction == NOTHING
    assert questions == 1
    assert "5" not in seen
    assert perfect(1, 0, "faithful") == (NOTHING, 0, set())


@given(
    st.integers(0, 30),
    st.integers(2, 5),
    st.lists(st.integers(-1, 4), min_size=60),
    st.sampled_from(["faithful", "corrected"]),
)
def test_rounds_end_within_their_bound(count: int, size: int, answers: list[int], rules: Rules) -> None:
    rounds = Rounds.start([str(n) for n in range(count)], size, rules)
    questions = 0
    for answer in answers:
        if not rounds.batch:
            break
        questions += 1
        rounds = rounds.answer(rounds.batch[answer] if 0 <= answer < len(rounds.batch) else None, "CLICK ")
        everyone = [*rounds.batch, *rounds.queue]
        assert len(set(everyone)) == len(everyone)
    assert not rounds.batch
    assert questions <= most_rounds(count, size)


def test_turning_down_the_pick_leaves_nothing() -> None:
    rounds = Rounds.start(list("abcdef"), 5, "faithful").answer("a", "CLICK ")
    assert rounds.batch == ("f", "a")
    assert rounds.answer(None, "").prediction == NOTHING
    assert rounds.answer("a", "TYPE x").prediction == Prediction("a", "TYPE x")


@pytest.mark.parametrize(("count", "standing"), [(6, NOTHING), (10, Prediction("0", "CLICK "))])
def test_what_stands_when_the_episode_is_cut_short(count: int, standing: Prediction) -> None:
    rounds = Rounds.start([str(n) for n in range(count)], 5, "faithful").answer("0", "CLICK ")
    assert rounds.batch
    assert rounds.prediction == standing
