"""The count of evaluated samples in the training text finds those that are put there."""

import pytest

from agentx.conversation import Conversation, Message
from agentx.pretraining import contamination as module
from agentx.pretraining.contamination import EVALUATED, contamination
from agentx.pretraining.held_out import statements
from agentx.pretraining.settings import PretrainSettings

SAMPLES = 20


@pytest.mark.parametrize("task", ["webshop", "general"])
def test_planted_samples_are_counted(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [text for text in dict.fromkeys(statements(task, SAMPLES).values()) if len(text.split()) > 5]
    said, told, halved = asked[3], asked[7], asked[11].split()
    halved = " ".join(halved[: len(halved) // 2])
    planted = [
        Conversation((Message("user", said), Message("assistant", "Yes.")), "general", ""),
        f"Somebody once said: {told} And so on.",
        f"Half of one: {halved}",
        "Nothing of the kind.",
    ]
    monkeypatch.setattr(module, "document", lambda settings, index, plays: planted[index])
    found = contamination(PretrainSettings(), [], len(planted), SAMPLES)
    assert list(found) == list(EVALUATED)
    # Drawn questions may repeat, and then each sample that asks one counts.
    every = list(statements(task, SAMPLES).values())
    assert found[task]["exact"] == every.count(said)
    assert found[task]["whole"] == every.count(said) + every.count(told)
    assert found[task]["largest_share"] == 1
    others = [counts for name, counts in found.items() if name != task]
    assert not any(counts["exact"] or counts["whole"] for counts in others)


def test_question_and_answer_together_are_not_the_longer_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """ "… 3, 5, 7" answered by 9 is another question than "… 3, 5, 7, 9"."""
    question = Message("user", "What number comes next? 15, 17, 19")
    document = Conversation((question, Message("assistant", "21")), "general", "")
    monkeypatch.setattr(module, "document", lambda settings, index, plays: document)
    monkeypatch.setattr(
        module, "statements", lambda name, samples: {"longer": "What number comes next? 15, 17, 19, 21"}
    )
    assert contamination(PretrainSettings(), [], 1)["general"]["exact"] == 0
