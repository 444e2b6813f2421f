import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from agentx.construction.demonstrations import demonstrate_with, expert_conversations
from agentx.errors import ConfigError
from agentx.tasks.environment import Action, Task, TaskDataError
from agentx.tasks.webshop import nouns, task
from agentx.tasks.webshop.engine import Session
from agentx.tasks.webshop.expert import Shopper
from agentx.tasks.webshop.generated import generate_products
from agentx.tasks.webshop.settings import Settings
from agentx.trajectory import Trajectory


@dataclass
class Paths:
    output: Path | None
    webshop: Path | None = None


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return tmp_path_factory.mktemp("output")


@pytest.fixture(autouse=True)
def approximate(monkeypatch):
    monkeypatch.setattr(nouns, "has_spacy_model", lambda: False)


def test_the_generated_task_is_solved_by_the_shopper(output):
    made = task.make_task(Settings(samples=40), Paths(output))
    assert isinstance(made, Task)
    assert made.label == "webshop (generated, approximate type match)"
    assert len({sample.id for sample in made.samples}) == 40
    rewards = []
    for goal in made.goals.values():
        session, shopper = Session(made.shop, goal), Shopper(goal)
        for _ in range(10):
            turn = session.step(shopper.decide(session).action)
        rewards.append(session.purchase.reward if session.purchase else turn.reward)
    assert sum(reward == 1.0 for reward in rewards) >= 38


def test_the_same_settings_give_the_same_goals_and_other_seeds_others(output):
    one, two, other = (task.make_task(Settings(samples=8, seed=seed), Paths(output)).goals for seed in (1, 1, 2))
    assert one == two
    assert list(one.values()) != list(other.values())


def test_train_and_test_share_no_product_brand_or_goal(output):
    of = {split: task.make_task(Settings(split=split, samples=60), Paths(output)) for split in ("train", "test")}
    wanted = {split: {goal.asin for goal in made.goals.values()} for split, made in of.items()}
    assert not wanted["train"] & wanted["test"]
    brands = {split: {p.name.split()[0] for p in generate_products(500, 0, split)} for split in of}
    assert not brands["train"] & brands["test"]
    assert {p.category for p in generate_products(500, 0, "test")} == {
        "fashion", "beauty", "electronics", "garden", "grocery"
    }  # fmt: skip
    assert len({p.asin for p in generate_products(5000, 0, "test")}) == 5000


def test_official_data_give_agentbenchs_ranges_and_name(recorded, output):
    dev = task.make_task(Settings(source="official", split="dev", samples=None), Paths(output, recorded))
    std = task.make_task(Settings(source="official", split="std", samples=50), Paths(output, recorded))
    assert (len(dev.samples), len(std.samples)) == (80, 50)
    assert dev.label == "WebShop (dev, approximate type match)"
    assert std.label == "WebShop (std, 50 of 200, approximate type match)"
    recorded_goals = json.loads((recorded / "goals.json").read_text(encoding="utf-8"))["goals"]
    for offset in (0, 79):
        instruction = list(dev.goals.values())[offset].instruction
        expected = recorded_goals[200 + offset]["instruction_text"]
        assert instruction.split(", and price")[0] == expected.split(", and price")[0]
    corrected = task.make_task(
        Settings(source="official", split="std", samples=3, rules="corrected"), Paths(output, recorded)
    )
    assert corrected.label.startswith("webshop (std") and "corrected rules" in corrected.label

    async def first():
        environment = await dev.open(dev.samples[0])
        await environment.reset()
        return await environment.step(Action("search[lamp]", ""))

    assert "Total results" in asyncio.run(first()).observation.text


def test_synthetic_goals_are_one_per_combination(recorded, output):
    made = task.make_task(
        Settings(source="official", split="all", samples=None, goals="synthetic"), Paths(output, recorded)
    )
    assert "synthetic goals" in made.label and len(made.samples) > 100
    goal = next(goal for goal in made.goals.values() if len(goal.options) == 2)
    number = made.shop.store.number(goal.asin)
    product = made.shop.store[number]
    names = sorted(product.options)
    values = [option.removeprefix(f"{name} ") for name, option in zip(names, goal.options, strict=True)]
    assert all(value in product.options[name] for name, value in zip(names, values, strict=True))
    session = Session(made.shop, goal)
    session.step(f"search[{product.name}]")
    session.step(f"click[{goal.asin.lower()}]")
    for value in values:
        session.step(f"click[{value}]")
    session.step("click[buy now]")
    assert session.purchase.options_matched == 2


def test_missing_data_name_the_file(tmp_path):
    with pytest.raises(TaskDataError, match=r"paths\.webshop"):
        task.make_task(Settings(source="official", split="dev"), Paths(tmp_path))
    with pytest.raises(TaskDataError, match=r"items_shuffle\.json is missing"):
        task.make_task(Settings(source="official", split="dev"), Paths(tmp_path, tmp_path))


def test_the_metric_is_the_mean_reward(output):
    made = task.make_task(Settings(samples=2), Paths(output))
    found = made.aggregate([Trajectory("a", reward=1.0), Trajectory("b", reward=0.5)])
    assert found == {"reward": 0.75, "success_rate": 0.5}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "std"}, r"task\.split=std"),
        ({"samples": None}, r"task\.samples=null"),
        ({"samples": 0}, r"task\.samples=0"),
        ({"products": 3}, r"task\.products=3"),
        ({"max_rounds": 0}, r"task\.max_rounds=0"),
    ],
)
def test_wrong_settings_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        Settings(**changes)


def test_expert_conversations_are_recorded_in_every_method():
    settings = Settings(prompt="compact", products=100)
    for method in ("io", "cot", "react", "ours"):
        made = expert_conversations("webshop", settings, 4, 5, 0, [method])
        assert made, method
        assert all(any(m.trained for m in c.messages) for c in made)
    assert made == expert_conversations("webshop", settings, 4, 5, 0, ["ours"])


def test_deliberate_mistakes_are_marked_and_come_from_the_training_split():
    settings = Settings(prompt="compact", products=100)
    strayed = 0
    for index in range(12):
        shown = demonstrate_with("webshop")(
            settings, index=index, seed=0, style="react", shots=0, weak_paths=0, contested=0.0
        )
        assert shown.id.startswith("train-")

        async def play(shown=shown):
            from agentx.construction.demonstrations import _play
            from agentx.reasoning.method import Method
            from agentx.reasoning.settings import MethodSettings

            return await _play(shown, Method(MethodSettings(name="react", style="react", shots=0)), 0)

        exchanges = asyncio.run(play())
        assert exchanges
        strayed += sum(not exchange.trained for exchange in exchanges)
        assert sum(not exchange.trained for exchange in exchanges) == len(shown.strayed)
    assert strayed > 0


def test_the_approximate_tagger_finds_the_product():
    tagger, exact = nouns.make_tagger()
    assert not exact
    assert {"lamp", "batteries"} <= set(tagger("Modern desk lamp with two batteries"))
    assert tagger("") == ()
