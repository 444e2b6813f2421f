"""Conversations that say the same: exactly, or nearly (MinHash over five-word sequences)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agentx.conversation import Conversation

WORDS = re.compile(r"\w+")
SHINGLE = 5
COMMON = 0.01
"""share of the conversations from which a message is boilerplate, as an instruction that opens all of a task's"""
PERMUTATIONS = 64


def words(text: str) -> list[str]:
    """Lower-case words without punctuation: what two texts are compared by."""
    return WORDS.findall(text.lower())


@dataclass(frozen=True)
class Duplicates:
    """Of each conversation that repeats an earlier one, its index and the earlier one's."""

    exact: list[tuple[int, int]]
    near: list[tuple[int, int]] | None
    """None where they were not looked for"""


def find_duplicates(conversations: Sequence[Conversation], threshold: float | None) -> Duplicates:
    """Repeated conversations; near ones share at least `threshold` of their five-word sequences (estimated, with a
    standard error of about 0.06), leaving out messages that open one in a hundred conversations or more."""
    first: dict[tuple[tuple[str, str], ...], int] = {}
    exact: list[tuple[int, int]] = []
    for index, conversation in enumerate(conversations):
        content = tuple((message.role, message.content) for message in conversation.messages)
        earlier = first.setdefault(content, index)
        if earlier != index:
            exact.append((index, earlier))
    if threshold is None:
        return Duplicates(exact, None)
    return Duplicates(exact, _near(conversations, {index for index, _ in exact}, threshold))


def _near(conversations: Sequence[Conversation], without: set[int], threshold: float) -> list[tuple[int, int]]:
    from datasketch import MinHash, MinHashLSH

    seen = Counter(content for c in conversations for content in {message.content for message in c.messages})
    many = max(10, COMMON * len(conversations))
    index_of = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
    hashes: dict[int, MinHash] = {}
    found: list[tuple[int, int]] = []
    for index, conversation in enumerate(conversations):
        text = words("\n".join(m.content for m in conversation.messages if seen[m.content] < many))
        if index in without or not text:
            continue
        shingles = {" ".join(text[start : start + SHINGLE]) for start in range(max(1, len(text) - SHINGLE + 1))}
        made = MinHash(num_perm=PERMUTATIONS)
        made.update_batch([shingle.encode() for shingle in shingles])
        alike = [(hashes[other].jaccard(made), other) for other in index_of.query(made)]
        likeness, earlier = max(alike, default=(0.0, -1))
        if likeness >= threshold:
            found.append((index, earlier))
        else:
            index_of.insert(index, made)
            hashes[index] = made
    return found
