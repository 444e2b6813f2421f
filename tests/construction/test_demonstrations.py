"""The household's demonstrations stand for all tasks here: the recorder knows nothing of the task."""

import asyncio
import random
from collections import Counter

import pytest

from agentx.construction import demonstrations
from agentx.construction.demonstrations import KEPT, METHODS, expert_conversations, keep
from agentx.conversation import Conversation, Message
from agentx.errors import ConfigError
from agentx.reasoning.styles import Style
from agentx.tasks.household import demonstrations as household
from agentx.tasks.household.settings import Settings
from agentx.tasks.household.text_versions import mismatch
from agentx.trajectory import Purpose

SETTINGS = Settings(prompt="compact")


@pytest.fixture(scope="module")
def recorded() -> list[Conversation]:
    return expert_conversations("household", SETTINGS, 60, seed=3, shots=0)


def method_of(conversation: Conversation) -> str:
    return conversation.id.rsplit("-", 1)[1].partition("#")[0]


def test_the_same_arguments_give_the_same_conversations(recorded):
    assert recorded[:20] == expert_conversations("household", SETTINGS, 60, seed=3, shots=0)[:20]
    assert recorded != expert_conversations("household", SETTINGS, 60, seed=4, shots=0)


def test_every_format_that_evaluation_asks_for_is_demonstrated(recorded):
    assert {method_of(c) for c in recorded} == set(METHODS)
    assert {purpose for c in recorded for purpose in c.metadata["purpose"]} >= set(KEPT) - {Purpose.SCORE}
    assert len({c.id for c in recorded}) == len(recorded)


def test_trained_replies_are_in_the_style_to_the_letter(recorded):
    checked = 0
    for conversation in recorded:
        if Purpose.ACT not in conversation.metadata["purpose"]:
            continue
        style = Style(METHODS[method_of(conversation)].style)
        for message in conversation.messages:
            if message.trained:
                parsed = style.parse(message.content)
                assert parsed.action and parsed.forgiven == (), message.content
                checked += 1
    assert checked > 200


def test_verdicts_and_picks_are_not_all_the_same(recorded):
    for purpose in (Purpose.SUBTASK_DONE, Purpose.PICK):
        answers = Counter(c.messages[-1].content for c in recorded if purpose in c.metadata["purpose"])
        assert min(answers.values()) > 0.15 * answers.total() and len(answers) == 2, (purpose, answers)


def test_wrong_turns_are_shown_but_not_trained(recorded):
    replies = [message for c in recorded for message in c.messages if "I try this." in message.content]
    assert replies and not any(message.trained for message in replies)


def test_backtracking_is_demonstrated():
    searched = expert_conversations("household", SETTINGS, 40, seed=0, shots=0, methods=("ours",))
    after_a_failure = [c for c in searched if any("not the best choice" in m.content for m in c.messages)]
    assert any(sum(message.trained for message in c.messages) > 2 for c in after_a_failure)


def test_the_other_text_version_is_spoken_throughout():
    spoken = expert_conversations("household", Settings(prompt="compact", text="classic"), 12, seed=3, shots=0)
    replies = [m.content for c in spoken for m in c.messages if m.role == "assistant"]
    assert mismatch(replies, "classic") == []
    assert any("in/on" in reply for reply in replies)


def test_a_failed_episode_is_not_recorded(monkeypatch):
    monkeypatch.setattr(household, "ROUNDS", 2)
    assert asyncio.run(demonstrations._record("household", SETTINGS, 10, 0, 0, ("react",))) == []


def test_a_task_without_an_expert_is_refused():
    with pytest.raises(ConfigError, match="task=nosuch: has no training problems"):
        expert_conversations("nosuch", None, 1, 0, 0)


def test_kept_conversations_are_few_and_their_answers_differ():
    def verdict(number: int, answer: str) -> Conversation:
        messages = (Message("user", f"done? {number}"), Message("assistant", answer, trained=True))
        return Conversation(messages, "x", str(number), {"purpose": [Purpose.SUBTASK_DONE]})

    kept = keep([*(verdict(n, "No") for n in range(20)), verdict(20, "Yes")], random.Random(0))
    assert len(kept) == KEPT[Purpose.SUBTASK_DONE]
    assert {c.messages[-1].content for c in kept} == {"Yes", "No"}
