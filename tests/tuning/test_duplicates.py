"""Repeated conversations, exact and near, against what they must and must not be."""

from __future__ import annotations

import random

from agentx.conversation import Conversation, Message
from agentx.tuning.duplicates import find_duplicates

INSTRUCTION = "You are in a room and must find things; think first, then write one action on a line of its own. " * 3


def conversation(number: int, text: str) -> Conversation:
    messages = (Message("user", INSTRUCTION), Message("user", text), Message("assistant", "Done.", trained=True))
    return Conversation(messages, "c", str(number))


def sentence(seed: int, length: int = 80) -> list[str]:
    rng = random.Random(seed)
    return [f"word{rng.randint(0, 5000)}" for _ in range(length)]


def test_exact_and_near_repetitions_are_told_apart_and_shared_instructions_make_none() -> None:
    texts = [" ".join(sentence(seed)) for seed in range(40)]
    changed = sentence(7)
    changed[40] = "otherwise"
    unlike = sentence(9)[:30] + sentence(1000, 50)
    rows = [*texts, texts[3], " ".join(changed), " ".join(unlike)]
    found = find_duplicates([conversation(index, text) for index, text in enumerate(rows)], 0.7)
    assert found.exact == [(40, 3)]
    assert found.near == [(41, 7)]


def test_near_ones_are_not_looked_for_unasked() -> None:
    found = find_duplicates([conversation(0, "a"), conversation(1, "a")], None)
    assert found.exact == [(1, 0)] and found.near is None


def test_empty_and_tiny_conversations_do_no_harm() -> None:
    rows = [Conversation((Message("user", text),), "c", text) for text in ["", "?!", "one", "one two", "one, two?"]]
    assert find_duplicates(rows, 0.8).near == [(4, 3)]
