from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from agentx.construction.demonstrations import expert_conversations
from agentx.conversation import Conversation
from agentx.errors import ConfigError
from agentx.models.chat import Request, Sampling
from agentx.reasoning.styles import Style
from agentx.tasks.environment import Action
from agentx.tasks.mind2web.answers import read_action
from agentx.tasks.mind2web.demonstrations import demonstrate, relevant_settings
from agentx.tasks.mind2web.generator import sites
from agentx.tasks.mind2web.settings import Settings
from agentx.trajectory import Purpose

COMPACT = Settings(prompt="compact")


@pytest.fixture(scope="module")
def conversations() -> list[Conversation]:
    return expert_conversations("mind2web", COMPACT, 80, 0, 0)


def test_every_purpose_is_demonstrated_with_different_answers(conversations: list[Conversation]) -> None:
    answers: dict[str, Counter[str]] = {}
    for conversation in conversations:
        for purpose in conversation.metadata["purpose"]:
            answers.setdefault(str(purpose), Counter())[conversation.messages[-1].content] += 1
    assert set(answers) >= {"act", "plan", "pick", "subtask_done", "task_done"}
    assert set(answers["pick"]) == {"1", "2"}
    assert set(answers["subtask_done"]) == {"Yes", "No"}
    assert set(answers["task_done"]) == {"Yes", "No"}


def test_trained_replies_are_in_the_format_without_anything_forgiven(conversations: list[Conversation]) -> None:
    letters: Counter[str] = Counter()
    for conversation in conversations:
        if "act" not in map(str, conversation.metadata["purpose"]):
            continue
        style = conversation.id.rpartition("-")[2].partition("#")[0]
        parser = Style("react" if style == "ours" else style)
        for message in conversation.messages:
            if message.trained:
                parsed = parser.parse(message.content)
                answer = read_action(parsed.action)
                assert answer.readable and not answer.notices and not parsed.forgiven
                letters[answer.letter] += 1
    assert set(letters) == set("ABCDEF")


def test_no_test_site_and_no_test_value_is_shown(conversations: list[Conversation]) -> None:
    text = "\n".join(message.content for conversation in conversations for message in conversation.messages)
    for site in sites("test"):
        assert site["name"] not in text
        assert site["goal"] not in text
    assert any(site["name"] in text for site in sites("train"))


def test_weak_and_contested_replies_are_recorded_as_strayed() -> None:
    async def play(weak: int, contested: float) -> tuple[set[tuple[int, int, int]], float]:
        strayed: set[tuple[int, int, int]] = set()
        reward = 0.0
        for index in range(0, 20, 2):
            shown = demonstrate(COMPACT, index=index, seed=1, style="io", shots=0, weak_paths=weak, contested=contested)
            await shown.environment.reset()
            request = Request(sample=shown.id)
            completion = await shown.expert.generate(shown.opening, Sampling(), request)
            result = await shown.environment.step(Action(completion.text.removeprefix("ACTION: "), completion.text))
            reward += result.reward
            strayed |= {(index, step, branch) for _, step, branch in shown.strayed}
        return strayed, reward

    assert asyncio.run(play(0, 0.0))[0] == set()
    assert len(asyncio.run(play(0, 1.0))[0]) == 10
    assert 3 <= len(asyncio.run(play(1, 0.0))[0]) < 10


def test_the_judge_picks_the_right_candidate_of_the_last_list() -> None:
    async def pick() -> list[str]:
        shown = demonstrate(COMPACT, index=0, seed=0, style="io", shots=0, weak_paths=0, contested=0.0)
        await shown.environment.reset()
        right = await shown.expert.generate(shown.opening, Sampling(), Request())
        action = right.text.removeprefix("ACTION: ")
        other = "A" if action != "A" else "B CLICK"
        questions = [f"1. {action}\nActions:\n1. {other}\n2. {action}\nWhich?", f"1. {action}\n2. {other}", "nothing"]
        answers = []
        for question in questions:
            message = type(shown.opening[0])("user", question)
            completion = await shown.expert.generate([message], Sampling(), Request(purpose=Purpose.PICK))
            answers.append(completion.text)
        return answers

    assert asyncio.run(pick()) == ["2", "1", "1"]


def test_what_demonstrations_depend_on() -> None:
    assert relevant_settings(COMPACT) == relevant_settings(Settings(prompt="compact", samples=3, seed=9))
    assert relevant_settings(COMPACT) != relevant_settings(Settings(prompt="compact", rules="corrected"))
    with pytest.raises(ConfigError, match=r"task\.replies=agentbench"):
        demonstrate(Settings(replies="agentbench"), index=0, seed=0, style="io", shots=0, weak_paths=0, contested=0.0)
