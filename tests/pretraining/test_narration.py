from __future__ import annotations

import re
from random import Random

from agentx.pretraining import narration
from agentx.pretraining.drills import DRILLS
from agentx.pretraining.narration import episode, narrate, tell
from agentx.tasks.household.layouts import split_scenes


def test_no_test_floor_plan_is_narrated() -> None:
    held_out = set(split_scenes("test"))
    plans = {episode(Random(i), "train").room.floor_plan for i in range(400)}
    assert not plans & held_out
    assert len(plans) > 60


def test_the_text_is_the_transcripts(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    for i in range(50):
        transcript = episode(Random(i), "train")
        told = tell(transcript, Random(i))
        text = told.text
        for turn in transcript.turns:
            assert turn.observation in text
            assert turn.action in text
        assert text.endswith(transcript.ending)
        assert sum(not trained for _, trained in told.pieces) == sum(not turn.trained for turn in transcript.turns)


def test_never_the_agents_reply_format() -> None:
    for i in range(300):
        text = narrate(Random(i), "train").text
        assert "ACTION" not in text and "THOUGHT" not in text
        assert "<|" not in text
    marks = [*narration.THOUGHT_MARKS, *narration.COMMAND_MARKS, *narration.OBSERVATION_MARKS]
    assert not any(re.search("action|thought", mark, re.I) for mark in marks)


def test_thoughts_come_before_their_command() -> None:
    transcript = episode(Random(3), "train")
    texts = [tell(transcript, Random(i)).text for i in range(40)]
    thoughtful = [text for text in texts if transcript.turns[0].thought in text]
    assert 15 < len(thoughtful) < 40
    for text in thoughtful:
        assert text.index(transcript.turns[0].thought) < text.index(transcript.turns[0].action + "\n")


def test_drills_repeat_what_they_show() -> None:
    """Most words of a drill have occurred before: that is what makes it a copying drill."""
    for make in DRILLS:
        repeated = total = 0
        for i in range(200):
            words = re.findall(r"\w+", make(Random(i)))
            repeated += len(words) - len(set(words))
            total += len(words)
        assert repeated / total > 0.35, make.__name__
