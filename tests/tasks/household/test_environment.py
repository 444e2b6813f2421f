from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agentx.tasks.environment import Action, Environment, StepResult
from agentx.tasks.household.engine import Engine
from agentx.tasks.household.environment import HouseholdEnvironment
from agentx.tasks.household.settings import Settings
from agentx.trajectory import Outcome, Verdict

Play = Callable[..., list[StepResult]]


def act(text: str | None, raw: str | None = None) -> Action:
    return Action(text, raw if raw is not None else f"ACTION: {text}")


@pytest.fixture
def environment(make_game):
    made: list[HouseholdEnvironment] = []

    def make(seed: int = 0, **options: Any) -> HouseholdEnvironment:
        game = make_game(seed)
        made.append(HouseholdEnvironment(lambda: Engine(game), replace(Settings(), **options)))
        made[-1].plan = game["walkthrough"]  # type: ignore[attr-defined]
        return made[-1]

    yield make
    for each in made:
        asyncio.run(each.close())


def run(environment: HouseholdEnvironment, *actions: Action | str) -> list[StepResult]:
    """Reset, then step until the actions or the episode end."""

    async def play() -> list[StepResult]:
        await environment.reset()
        results: list[StepResult] = []
        for number, action in enumerate(actions):
            if results and results[-1].done:
                break
            step = act(action, f"{number}: ACTION: {action}") if isinstance(action, str) else action
            results.append(await environment.step(step))
        return results

    return asyncio.run(play())


def observation(environment: HouseholdEnvironment) -> Any:
    return asyncio.run(environment.reset())


def test_it_is_an_environment(environment):
    assert isinstance(environment(), Environment)
    assert environment().deterministic and environment(max_rounds=20).max_rounds == 20


def test_the_introduction_has_no_welcome_and_names_the_task(environment):
    one = environment()
    text = observation(one).text
    assert text.startswith("You are in the middle of a room.")
    assert f"Your task is to: {one.task_statement}." in text
    assert one.task_statement and not one.task_statement.endswith(".")


def test_available_actions_are_shown_in_the_plain_prompt_only_and_apart_from_the_text(environment):
    plain = observation(environment(prompt="plain"))
    assert plain.transient.startswith("AVAILABLE ACTIONS: ")
    assert "\nlook" in plain.transient and "AVAILABLE" not in plain.text
    assert observation(environment(prompt="compact")).transient == ""


def test_reaching_the_goal_completes_the_episode(environment):
    one = environment()
    results = run(one, *one.plan)
    assert [result.reward for result in results] == [0.0] * (len(results) - 1) + [1.0]
    assert all(result.outcome is None and not result.done for result in results[:-1])
    assert results[-1].done and results[-1].outcome is Outcome.COMPLETED
    assert {result.verdict for result in results} == {Verdict.VALID}
    assert [result.executed for result in results] == one.plan


def test_nothing_can_be_done_after_the_end_or_before_the_start(environment):
    one = environment()
    with pytest.raises(RuntimeError):
        asyncio.run(one.step(act("look")))
    run(one, *one.plan)
    with pytest.raises(RuntimeError):
        asyncio.run(one.step(act("look")))
    assert not run(one, "look")[0].done


@pytest.mark.parametrize("text", [None, "", "   ", "\n"])
def test_no_action_ends_the_episode_as_an_invalid_action(environment, text):
    result = run(environment(), act(text, "I am lost."))[0]
    assert result.done and result.outcome is Outcome.INVALID_ACTION and result.reward == 0
    assert result.verdict is Verdict.INVALID_FORMAT and result.executed == ""


def test_rounds_run_out(environment):
    results = run(environment(max_rounds=5), "look", "inventory", "look", "inventory", "look", "inventory")
    assert len(results) == 5
    assert results[-1].outcome is Outcome.TASK_LIMIT and results[-1].reward == 0


def test_the_goal_counts_in_the_last_round(environment):
    one = environment()
    one.max_rounds = len(one.plan)
    assert run(one, *one.plan)[-1].outcome is Outcome.COMPLETED


def test_three_equal_replies_end_the_episode_from_the_fourth_round_on(environment):
    same = act("look", "ACTION: look")
    results = run(environment(), same, same, same, same)
    assert [result.done for result in results] == [False, False, False, True]
    assert results[-1].outcome is Outcome.INVALID_ACTION and "loop" in results[-1].notices
    results = run(environment(), "inventory", same, same, same)
    assert results[-1].outcome is Outcome.INVALID_ACTION and len(results) == 4


def test_equal_commands_in_different_words_are_noticed_but_go_on(environment):
    results = run(environment(), *["look"] * 4)
    assert not results[-1].done
    assert ["loop" in result.notices for result in results] == [False, False, True, True]


def test_the_loop_rule_comes_before_the_goal(environment):
    """AgentBench looks for three equal outputs first, so that even a won game counts as an invalid action."""
    one = environment()
    for number, command in enumerate(one.plan):
        assert command in ("look", *one.plan), number
    before, last = one.plan[:-3], one.plan[-3:]
    loop = [act(command, "the same words") for command in last]
    padded = [act(command, f"{number}") for number, command in enumerate(["look", *before])]
    result = run(one, *padded, *loop)[-1]
    assert result.outcome is Outcome.INVALID_ACTION and result.reward == 0


def test_an_unavailable_action_becomes_the_most_similar_one(environment):
    one = environment()
    place = one.plan[0].removeprefix("go to ")
    result = run(one, f"Go to the {place}")[0]
    assert result.executed == f"go to {place}" and "matched" in result.notices
    assert result.verdict is Verdict.VALID and place in result.observation.text
    result = run(environment(matching="exact"), f"go to the {place}")[0]
    assert result.observation.text == "Nothing happens." and result.notices == ()
    assert result.verdict is Verdict.INVALID_ACTION and result.executed == f"go to the {place}"


def test_capitals_do_not_matter(environment):
    one = environment()
    result = run(one, one.plan[0].upper())[0]
    assert result.executed == one.plan[0] and result.notices == ()


def test_naming_what_was_never_seen_is_hallucination(environment):
    result = run(environment(), "take sword 7 from dragon 1")[0]
    assert result.verdict is Verdict.HALLUCINATED
    result = run(environment(matching="exact"), "take sword 7 from dragon 1")[0]
    assert result.verdict is Verdict.HALLUCINATED and result.observation.text == "Nothing happens."
    result = run(environment(), "dance")[0]
    assert result.verdict is Verdict.INVALID_ACTION


def test_what_was_seen_counts_as_seen_until_the_next_reset(environment):
    one = environment(prompt="compact", matching="exact")
    item = next(command for command in one.plan if command.startswith("take")).split(" from ")[0].removeprefix("take ")
    taken = one.plan.index(next(command for command in one.plan if command.startswith("take")))
    results = run(one, *one.plan[:taken], f"examine {item}")
    assert results[-1].verdict is Verdict.INVALID_ACTION
    assert run(one, f"examine {item}")[0].verdict is Verdict.HALLUCINATED


def test_resetting_starts_the_same_episode_again(environment):
    one = environment()
    first = observation(one)
    results = run(one, *one.plan)
    assert observation(one) == first
    assert run(one, *one.plan) == results


def test_a_fork_goes_its_own_way(environment):
    one = environment()

    async def play() -> None:
        await one.reset()
        for number, command in enumerate(one.plan[:-1]):
            await one.step(act(command, str(number)))
        other = await one.fork()
        won = await other.step(act(one.plan[-1], "last"))
        assert won.outcome is Outcome.COMPLETED
        missed = await one.step(act("look", "look"))
        assert not missed.done and missed.reward == 0
        await other.close()
        assert (await one.step(act(one.plan[-1], "late"))).outcome is Outcome.COMPLETED

    asyncio.run(play())


def test_a_closed_environment_can_be_reset(environment):
    one = environment()
    first = observation(one)
    asyncio.run(one.close())
    with pytest.raises(RuntimeError):
        asyncio.run(one.step(act("look")))
    assert observation(one) == first


def test_the_classic_text_is_played_with_classic_commands(environment):
    one = environment(text="classic")
    shown = observation(one).transient
    assert "\nhelp" not in shown
    plan = [
        command.replace("move ", "put ").replace(" to ", " in/on ") if "move" in command else command
        for command in one.plan
    ]
    results = run(one, *plan)
    assert results[-1].outcome is Outcome.COMPLETED
    assert results[-1].executed.startswith("put ") and "You put the" in results[-1].observation.text
    assert "You arrive at" not in results[0].observation.text
    one = environment(text="classic", matching="exact")
    results = run(one, "help", *one.plan)
    assert results[0].observation.text == "Nothing happens."
    assert results[len(one.plan)].observation.text == "Nothing happens."  # 'move', which classic does not know


@pytest.mark.parametrize("text", ["current", "classic"])
def test_hostile_actions_never_crash_it(environment, text):
    rng = random.Random(0)
    pieces = [
        "take",
        "{r.name}",
        "{0}",
        "%s",
        "\x00",
        "🙂",
        "go to",
        "desk 1",
        "in/on",
        "__import__('os')",
        "#look#",
        " ",
    ]
    for seed in range(3):
        one = environment(seed, text=text, max_rounds=200)
        actions = [" ".join(rng.choices(pieces, k=rng.randint(1, 6))) + "x" for _ in range(60)]
        results = run(one, *actions)
        assert len(results) == 60 and not any(result.done for result in results)
