from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentx.tasks.environment import Action, Environment, StepResult, TaskDataError
from agentx.tasks.mind2web.environment import Mind2WebEnvironment, candidate_order
from agentx.tasks.mind2web.prompts import observe
from agentx.tasks.mind2web.ranking import rank_candidates
from agentx.tasks.mind2web.settings import Settings
from agentx.trajectory import Outcome, Verdict

ORDER = ["3", "5", "6", "8", "9", "10"]


def environment(step: Any, order: list[str] | None = None, **changes: Any) -> Mind2WebEnvironment:
    return Mind2WebEnvironment(step, Settings(**changes), observe, order)


def play(played: Mind2WebEnvironment, *actions: str | None) -> StepResult:
    async def run() -> StepResult:
        await played.reset()
        for action in actions:
            result = await played.step(Action(action, action or ""))
        return result

    return asyncio.run(run())


def test_satisfies_the_protocol(make_step: Any) -> None:
    assert isinstance(environment(make_step()), Environment)


def test_a_question_lists_the_choices_in_document_order_and_the_page_is_transient(make_step: Any) -> None:
    observation = asyncio.run(environment(make_step(), list(reversed(ORDER))).reset())
    lines = observation.text.splitlines()
    assert lines[0] == "Task: Type the town Bath, then go."
    assert lines[3:] == [
        "A. none of these",
        "B. <input id=0 text town />",
        "C. <select id=1 size><option>small</option></select>",
        "D. <a id=2>about us</a>",
        "E. <a id=3>contact</a>",
        "F. <button id=4>go</button>",
    ]
    assert observation.transient.startswith("Page: <html>")
    assert "<label>town</label>" in observation.transient


def test_choosing_and_confirming_the_right_element_wins(make_step: Any) -> None:
    played = environment(make_step(), ORDER)
    first = play(played, "C TYPE Bath")
    # The last round asks about the pick again: until it is confirmed nothing stands.
    assert (first.reward, first.done, first.executed) == (0.0, False, "")
    last = asyncio.run(played.step(Action("B TYPE Bath", "")))
    assert (last.reward, last.done, last.outcome, last.executed) == (1.0, True, Outcome.COMPLETED, "5 TYPE Bath")


@pytest.mark.parametrize(
    ("actions", "verdict", "notice"),
    [
        ((None,), Verdict.INVALID_FORMAT, "counted_as_none"),
        (("what?",), Verdict.INVALID_FORMAT, "counted_as_none"),
        (("C TYPE Bath", "F CLICK"), Verdict.HALLUCINATED, "no_such_choice"),
        (("b click",), Verdict.VALID, "letter_case"),
    ],
)
def test_verdicts_and_notices(make_step: Any, actions: tuple[str | None, ...], verdict: Verdict, notice: str) -> None:
    result = play(environment(make_step(), ORDER), *actions)
    assert result.verdict is verdict
    assert notice in result.notices


def test_a_letter_beyond_the_choices_drops_them_all(make_step: Any) -> None:
    result = play(environment(make_step(), ORDER), "C TYPE Bath", "F CLICK")
    assert (result.reward, result.outcome, result.executed) == (0.0, Outcome.INVALID_ACTION, "")


@pytest.mark.parametrize("wrong", ["B TYPE Bat", "B CLICK", "B", "C TYPE Bath"])
def test_a_wrong_action_or_element_scores_nothing(make_step: Any, wrong: str) -> None:
    result = play(environment(make_step(), ORDER), "C TYPE Bath", wrong)
    assert (result.reward, result.outcome) == (0.0, Outcome.COMPLETED)


def test_rules_differ_about_a_candidate_left_alone(make_step: Any) -> None:
    order = ["3", "6", "8", "9", "10", "5"]
    faithful = play(environment(make_step(), order), "A")
    assert (faithful.done, faithful.outcome) == (True, Outcome.INVALID_ACTION)
    corrected = play(environment(make_step(), order, rules="corrected"), "A", "B TYPE Bath")
    assert (corrected.reward, corrected.outcome) == (1.0, Outcome.COMPLETED)


def test_one_candidate_is_asked_about_in_vain_under_faithful_rules(make_step: Any) -> None:
    step = make_step(negatives=(), ranks={"5": 0})
    result = play(environment(step), "B TYPE Bath")
    assert (result.reward, result.outcome, result.notices) == (0.0, Outcome.INVALID_ACTION, ("never_asked",))
    assert play(environment(step, rules="corrected"), "B TYPE Bath").reward == 1.0


def test_a_step_without_a_reachable_right_element_takes_one_question_and_scores_nothing(make_step: Any) -> None:
    step = make_step(ranks={"3": 0, "5": 10, "6": 1, "8": 2, "9": 3, "10": 4})
    result = play(environment(step), "B TYPE Bath")
    assert (result.reward, result.done, result.outcome) == (0.0, True, Outcome.COMPLETED)
    assert result.notices == ("unscorable",)
    nothing = play(environment(make_step(positives=(), negatives=(), ranks={})), "B TYPE Bath")
    assert (nothing.reward, nothing.done) == (0.0, True)
    assert "unscorable" in nothing.notices


def test_a_fork_goes_its_own_way(make_step: Any) -> None:
    async def run() -> tuple[StepResult, StepResult, StepResult]:
        played = environment(make_step(), ORDER)
        await played.reset()
        await played.step(Action("C TYPE Bath", ""))
        twin = await played.fork()
        right = await twin.step(Action("B TYPE Bath", ""))
        await twin.close()
        wrong = await played.step(Action("A", ""))
        await played.reset()
        again = await played.step(Action("C TYPE Bath", ""))
        return right, wrong, again

    right, wrong, again = asyncio.run(run())
    assert (right.reward, wrong.reward) == (1.0, 0.0)
    assert not again.done


def test_stepping_before_reset_or_after_the_end_is_an_error(make_step: Any) -> None:
    played = environment(make_step(), ORDER)
    with pytest.raises(RuntimeError, match="call reset first"):
        asyncio.run(played.step(Action("A", "A")))
    play(played, "A")
    with pytest.raises(RuntimeError, match="call reset first"):
        asyncio.run(played.step(Action("A", "A")))


def test_a_broken_page_is_named_at_reset(make_step: Any) -> None:
    with pytest.raises(TaskDataError, match=r"pages\.json, record 0, field cleaned_html"):
        asyncio.run(environment(make_step(html="<html>")).reset())
    with pytest.raises(TaskDataError, match="has no node 5"):
        asyncio.run(environment(make_step(html="<html/>"), ["5"]).reset())


def test_the_order_depends_on_seed_and_sample_alone(make_step: Any) -> None:
    step = make_step()
    assert candidate_order(step, Settings(seed=1)) == candidate_order(step, Settings(seed=1, split="train"))
    orders = {tuple(candidate_order(step, Settings(seed=seed))) for seed in range(10)}
    assert len(orders) > 5
    assert all(sorted(order) == sorted(ORDER) for order in orders)


def test_an_episode_on_a_page_of_a_million_nodes_with_a_title_of_nine_megabytes(make_step: Any) -> None:
    links = "".join(f'<a backend_node_id="{n}"><text>link</text></a>' for n in range(10, 500_010))
    title = f'<title backend_node_id="2"><text>{"word " * 1_900_000}</text></title>'
    html = f'<html backend_node_id="1">{title}{links}</html>'
    step = make_step(html=html, positives=("10",), negatives=("2", "250000", "500009"), operation="CLICK", ranks=None)
    step = rank_candidates(step)
    played = environment(step, ["2", "10", "250000", "500009"])
    observation = asyncio.run(played.reset())
    assert len(observation.shown) < 2000
    assert [node for node, _ in played.question.choices] == ["2", "10", "250000", "500009"]
    assert asyncio.run(played.step(Action("C CLICK", ""))).reward == 1.0
