"""The strict forms of planner's and judge's answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentx.reasoning.decomposition import parse_plan
from agentx.reasoning.judge import parse_pick, parse_score, parse_verdict

ANSWERS = st.one_of(
    st.text(),
    st.lists(st.sampled_from(["1", "2.", " ", "\n", "Yes", "no", "10", "/10", "-", "٣", "½", ")", "0.5", "x"])).map(
        "".join
    ),
)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("Yes", True),
        ("yes.", True),
        (" **No**, it is not", False),
        ("NO", False),
        ("Yes, no step is left", True),
        ("Nothing", None),
        ("Yesterday", None),
        ("", None),
        ("The answer is Yes", None),
        ("1", None),
    ],
)
def test_verdicts(answer: str, verdict: bool | None) -> None:
    assert parse_verdict(answer) is verdict


@pytest.mark.parametrize(
    ("answer", "pick"),
    [
        ("1", 0),
        ("2. open drawer 1", 1),
        ("(3)", 2),
        ("4", None),
        ("0", None),
        ("-1", None),
        ("1.5", None),
        ("one", None),
        ("12345678901234567890", None),
        ("I take 2", None),
        ("", None),
        ("٢", None),
    ],
)
def test_picks(answer: str, pick: int | None) -> None:
    assert parse_pick(answer, 3) == pick


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("0", 0.0),
        ("10", 1.0),
        ("7/10", 0.7),
        ("7.5", 0.75),
        ("8.", 0.8),
        ("11", None),
        ("100", None),
        ("10.5", None),
        ("-3", None),
        ("about 5", None),
        ("", None),
        ("nan", None),
    ],
)
def test_scores(answer: str, score: float | None) -> None:
    assert parse_score(answer) == (None if score is None else pytest.approx(score))


@pytest.mark.parametrize(
    ("answer", "items"),
    [
        ("1. find a cup\n2. clean it", ["find a cup", "clean it"]),
        ("Plan:\n 1) find  a cup\n\n 2) clean it\nGood luck", ["find a cup", "clean it"]),
        ("1. a\n2. b\n3. c\n4. d\n5. e", ["a", "b", "c; then d; then e"]),
        ("1. a\n2. b\n1. a\n2. b", ["a", "b"]),
        ("- a\n- b", []),
        ("2. b", []),
        ("1.\n2.", []),
        ("", []),
    ],
)
def test_plans(answer: str, items: list[str]) -> None:
    assert parse_plan(answer, 3) == items


@given(answer=ANSWERS, most=st.integers(1, 5))
def test_any_answer_is_read(answer: str, most: int) -> None:
    assert parse_verdict(answer) in (True, False, None)
    pick = parse_pick(answer, most)
    assert pick is None or 0 <= pick < most
    score = parse_score(answer)
    assert score is None or 0 <= score <= 1
    plan = parse_plan(answer, most)
    assert len(plan) <= most and all(plan)


@given(items=st.lists(st.text(alphabet="abc ", min_size=1).map(lambda s: " ".join(s.split())).filter(bool), max_size=6))
def test_a_numbered_list_comes_back(items: list[str]) -> None:
    answer = "\n".join(f"{number}. {item}" for number, item in enumerate(items, 1))
    assert parse_plan(answer, 6) == items


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "bomb", ["1" * 1_000_000, " " * 1_000_000, "1. " * 300_000, "*" * 1_000_000, "1.\t" + " " * 10**6]
)
def test_huge_answers_take_linear_time(bomb: str) -> None:
    parse_verdict(bomb), parse_pick(bomb, 3), parse_score(bomb), parse_plan(bomb, 3)
