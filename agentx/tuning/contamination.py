"""Evaluation samples among the training data: by id, word for word, and by word sequences in common."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agentx.conversation import Conversation
from agentx.tuning.duplicates import words

HEAD = 3
"""words by which statements shorter than an n-gram are looked up"""
CONTAINED = 0.8
"""share of a statement's n-grams in the training data from which it counts as known"""


@dataclass(frozen=True)
class Overlap:
    """What of one evaluation sample the training data hold."""

    sample: str
    share: float
    """of its n-grams that occur in training conversations, in [0, 1]; 1 for a short statement that occurs whole"""
    exact: bool
    """a training message says just the same (but for case and punctuation)"""
    same_id: bool
    """a training conversation bears its id"""
    conversations: tuple[str, ...]
    """names of up to three training conversations with most of it"""


@dataclass
class _Statement:
    words: tuple[str, ...]
    grams: set[tuple[str, ...]]
    found: set[tuple[str, ...]] = field(default_factory=set)
    where: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    exact: bool = False


def find_overlaps(statements: Mapping[str, str], conversations: Sequence[Conversation], ngram: int) -> list[Overlap]:
    """The samples of which anything was found, most first. `statements` tells what each sample asks, by its id; one of
    fewer than `ngram` words is looked for whole, one of fewer than three not at all."""
    asked = {name: _statement(text, ngram) for name, text in statements.items()}
    by_gram: dict[tuple[str, ...], list[_Statement]] = defaultdict(list)
    by_head: dict[tuple[str, ...], list[_Statement]] = defaultdict(list)
    by_text: dict[tuple[str, ...], list[_Statement]] = defaultdict(list)
    for statement in asked.values():
        if len(statement.words) >= HEAD:
            by_text[statement.words].append(statement)
        if len(statement.words) >= ngram:
            for gram in statement.grams:
                by_gram[gram].append(statement)
        elif len(statement.words) >= HEAD:
            by_head[statement.words[:HEAD]].append(statement)
    for index, conversation in enumerate(conversations):
        for message in conversation.messages:
            text = tuple(words(message.content))
            for statement in by_text.get(text, ()):
                statement.exact = True
            _look(text, index, by_gram, by_head, ngram)
    ids = {conversation.id for conversation in conversations}
    overlaps = [_overlap(name, statement, name in ids, conversations) for name, statement in asked.items()]
    return sorted((o for o in overlaps if o.share or o.same_id), key=lambda o: (-o.share, o.sample))


def _statement(text: str, ngram: int) -> _Statement:
    said = tuple(words(text))
    return _Statement(said, set(_grams(said, min(ngram, len(said)))))


def _grams(text: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(text[start : start + size]) for start in range(len(text) - size + 1)] if size else []


def _look(
    text: tuple[str, ...],
    index: int,
    by_gram: Mapping[tuple[str, ...], list[_Statement]],
    by_head: Mapping[tuple[str, ...], list[_Statement]],
    ngram: int,
) -> None:
    for start in range(len(text) - HEAD + 1):
        gram = text[start : start + ngram]
        found = [(statement, gram) for statement in by_gram.get(gram, ())]
        for statement in by_head.get(text[start : start + HEAD], ()):
            if text[start : start + len(statement.words)] == statement.words:
                found.append((statement, statement.words))
        for statement, known in found:
            statement.found.add(known)
            statement.where[index] += 1


def _overlap(name: str, statement: _Statement, same_id: bool, conversations: Sequence[Conversation]) -> Overlap:
    share = len(statement.found) / len(statement.grams) if statement.grams else 0.0
    most = sorted(statement.where, key=lambda index: -statement.where[index])[:3]
    names = tuple(f"{conversations[index].source}:{conversations[index].id}" for index in most)
    return Overlap(name, share, statement.exact, same_id, names)
