import asyncio
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentx.tasks.environment import Action, Environment
from agentx.tasks.webshop.engine import Session, Shop
from agentx.tasks.webshop.environment import WebShopEnvironment
from agentx.tasks.webshop.expert import Shopper
from agentx.tasks.webshop.generated import generate_goal, generate_products
from agentx.tasks.webshop.settings import Settings
from agentx.tasks.webshop.store import PriceList, ProductStore, build_store
from agentx.trajectory import Outcome, Verdict


def words(title):
    return tuple(title.lower().replace(",", "").split())


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated") / "store"
    build_store(folder, generate_products(120, 3, "test"))
    store = ProductStore(folder)
    return Shop(store, PriceList(store, random.Random(3)), words)


@pytest.fixture(scope="module")
def goal(shop):
    return generate_goal(shop.store[0], shop.prices[0], random.Random(0))


def played(environment, *actions):
    async def play():
        results = [await environment.reset()]
        for action in actions:
            results.append(await environment.step(Action(action, action or "")))
        return results

    return asyncio.run(play())


def environment(shop, goal, **changes):
    changed = Settings(**changes)
    return WebShopEnvironment(replace(shop, rules=changed.rules), goal, "0", changed)


def right_actions(shop, goal):
    session, shopper, actions = Session(shop, goal), Shopper(goal), []
    while session.purchase is None:
        actions.append(shopper.decide(session).action)
        session.step(actions[-1])
    return actions


def test_it_is_an_environment_and_a_good_purchase_completes_it_with_reward_one(shop, goal):
    env = environment(shop, goal)
    assert isinstance(env, Environment)
    actions = right_actions(shop, goal)
    results = played(env, *actions)
    assert results[-1].done and results[-1].outcome is Outcome.COMPLETED and results[-1].reward == 1.0
    assert all(result.verdict is Verdict.VALID and not result.done for result in results[1:-1])
    with pytest.raises(RuntimeError):
        asyncio.run(env.step(Action("click[buy now]", "")))


@pytest.mark.parametrize("text", [None, "", "buy it", "Search[x]", "click", "please click[buy now]", "[x]"])
def test_no_action_ends_the_episode_as_invalid_format(shop, goal, text):
    result = played(environment(shop, goal), text)[-1]
    assert (result.done, result.reward, result.outcome) == (True, 0.0, Outcome.INVALID_FORMAT)


def test_what_is_not_there_changes_nothing_and_is_told_apart_from_what_was_never_seen(shop, goal):
    env = environment(shop, goal)
    start, invented, search, unseen = played(env, "click[buy now]", "search[lamp]", "click[search]")
    assert invented.verdict is Verdict.HALLUCINATED and invented.observation == start
    assert search.verdict is Verdict.VALID
    assert unseen.verdict is Verdict.INVALID_ACTION and unseen.observation == search.observation


def test_rounds_run_out(shop, goal):
    results = played(environment(shop, goal, max_rounds=2), "search[a]", "search[b]")
    assert results[-1].outcome is Outcome.TASK_LIMIT and results[-1].reward == 0.0
    assert not results[1].done


def test_text_after_the_bracket_is_ignored_by_the_original_and_refused_by_corrected_rules(shop, goal):
    *actions, buy = right_actions(shop, goal)
    faithful = played(environment(shop, goal), *actions, f"{buy} please")[-1]
    assert (faithful.reward, faithful.notices) == (1.0, ("trailing_text",))
    corrected = played(environment(shop, goal, rules="corrected"), *actions, f"{buy} please")[-1]
    assert corrected.outcome is Outcome.INVALID_FORMAT


def test_corrected_rules_offer_no_pages_past_the_end_and_know_the_page_by_its_state(shop, goal):
    for rules, offered in (("faithful", True), ("corrected", False)):
        session = Session(replace(shop, rules=rules), goal)
        session.step("search[zzzz]")
        assert ("next >" in session.page.clickables) is offered
        session.step("search[lamp search_results]")
        opened = next(name for name, node in session.page.clickables.items() if node.kind == "link")
        session.step(f"click[{opened}]")
        session.step("click[description]")
        session.step("click[< prev]")
        assert (session.page_name == "item_page") is (rules == "corrected")


def test_a_fork_is_independent(shop, goal):
    async def play():
        env = environment(shop, goal)
        await env.reset()
        actions = right_actions(shop, goal)
        for action in actions[:-1]:
            await env.step(Action(action, action))
        other = await env.fork()
        await env.step(Action("click[back to search]", ""))
        bought = await other.step(Action(actions[-1], ""))
        assert bought.reward == 1.0 and env.session.options == {} and env.session.purchase is None
        await other.close()
        return await env.step(Action("search[lamp]", ""))

    assert asyncio.run(play()).verdict is Verdict.VALID


def test_the_compact_prompt_shows_no_actions_and_the_plain_one_all(shop, goal):
    assert played(environment(shop, goal, prompt="compact"))[0].transient == ""
    assert played(environment(shop, goal, prompt="plain"))[0].transient == "AVAILABLE ACTIONS: search[words]"


def test_text_rich_marks_what_was_chosen(shop, goal):
    *actions, _ = right_actions(shop, goal)
    shown = played(environment(shop, goal, observation="text_rich"), *actions)[-1].observation.text
    for option in goal.options:
        assert f"[clicked button] {option} [clicked button_]" in shown


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_text_breaks_a_session(shop, goal, data):
    """Searches with markup, regex and control characters, clicks on anything: every page stays consistent."""
    rules = data.draw(st.sampled_from(["faithful", "corrected"]))
    session = Session(replace(shop, rules=rules), goal)
    for _ in range(6):
        known = [f"click[{name}]" for name in session.page.clickables]
        free = st.builds("{}[{}]".format, st.sampled_from(["search", "click", "x"]), st.text(max_size=20))
        action = data.draw(st.one_of(st.sampled_from(known), free, st.text(max_size=12)) if known else free)
        turn = session.step(action)
        assert 0.0 <= turn.reward <= 1.0
        assert session.observation() and session.observation(rich=True)


@pytest.mark.parametrize("words", ["(.*)+$", "<b>&amp;</b>", "]](", "\\", "<a> x", "<c>", "<r>", "\0", "a" * 100_000])
def test_odd_searches_are_harmless(shop, goal, words):
    session = Session(shop, goal)
    assert session.step(f"search[{words}]").taken
    assert session.page_name == "search_results"
