import pytest

from agentx.construction.demonstrations import expert_conversations
from agentx.tasks.operating_system.actions import parse
from agentx.tasks.operating_system.families import WORDS
from agentx.tasks.operating_system.settings import Settings
from agentx.trajectory import Purpose

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def recorded():
    return expert_conversations("operating_system", Settings(prompt="compact"), 14, 3, 0, ("ours",))


def test_every_purpose_is_taught_and_answers_differ(recorded):
    by_purpose = {purpose: [] for purpose in Purpose}
    for conversation in recorded:
        by_purpose[Purpose(conversation.metadata["purpose"][0])].append(conversation.messages[-1].content)
    assert {"Yes", "No"} <= set(by_purpose[Purpose.SUBTASK_DONE])
    assert {"Yes", "No"} <= set(by_purpose[Purpose.TASK_DONE])
    assert {"1", "2"} <= set(by_purpose[Purpose.PICK])
    assert all(text.startswith("1. ") for text in by_purpose[Purpose.PLAN])


def test_what_is_trained_on_is_well_formed_and_from_the_training_words(recorded):
    trained = 0
    for conversation in recorded:
        text = "\n".join(message.content for message in conversation.messages)
        assert not any(f" {word} " in text for word in set(WORDS["test"]) - {"output"})
        for message in conversation.messages:
            if message.trained and "ACTION: " in message.content:
                command = parse(message.content.partition("ACTION: ")[2])
                assert command is not None and command.forgiven == ()
                assert command.text != "unknown"
                trained += 1
    assert trained > 10
