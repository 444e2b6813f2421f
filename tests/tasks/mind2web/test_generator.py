from __future__ import annotations

import asyncio
from itertools import pairwise

from agentx.tasks.environment import Action
from agentx.tasks.mind2web.environment import Mind2WebEnvironment
from agentx.tasks.mind2web.generator import generate_task, sites
from agentx.tasks.mind2web.prompts import decide, observe
from agentx.tasks.mind2web.settings import Settings


def test_training_and_test_share_no_site_label_or_value() -> None:
    def words(split: str) -> tuple[set[str], set[str]]:
        found = sites(split)  # type: ignore[arg-type]
        names = {site["name"] for site in found} | {site["goal"] for site in found}
        return names, {value for site in found for field in site["fields"] for value in field[3]}

    for train, test in zip(words("train"), words("test"), strict=True):
        assert train and test
        assert not train & test


def test_the_same_arguments_give_the_same_task_and_others_others() -> None:
    assert generate_task("test", 3, 5) == generate_task("test", 3, 5)
    pages = {generate_task(split, seed, 5)[0].html for split in ("train", "test") for seed in (3, 4)}
    assert len(pages) == 4


def test_a_task_is_filled_in_field_by_field_and_sent() -> None:
    for number in range(20):
        steps = generate_task("train", 1, number)
        assert [len(step.previous) for step in steps] == list(range(len(steps)))
        assert {step.steps for step in steps} == {len(steps)}
        assert steps[-1].operation == "CLICK"
        assert "button" in steps[-1].in_words
        for step in steps[:-1]:
            assert step.value in step.task
        for earlier, later in pairwise(steps):
            assert later.previous == (*earlier.previous, earlier.in_words)
            assert earlier.html != later.html


def test_every_reachable_step_can_be_won_under_corrected_rules() -> None:
    async def play() -> list[float]:
        rewards = []
        for number in range(15):
            for step in generate_task("test", 2, number):
                if step.candidates(10)[0]:
                    environment = Mind2WebEnvironment(step, Settings(rules="corrected"), observe)
                    await environment.reset()
                    while environment.question is not None:
                        decision = decide(environment.question)
                        result = await environment.step(Action(f"{decision.letter} {decision.action}".strip(), ""))
                    rewards.append(result.reward)
        return rewards

    rewards = asyncio.run(play())
    assert len(rewards) > 40
    assert set(rewards) == {1.0}
