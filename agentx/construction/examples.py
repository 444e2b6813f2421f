"""Worked trajectories of tool tasks and the choice of those that a teacher is shown."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(r"[a-z]+|\d+")


@dataclass(frozen=True)
class Worked:
    """A finished dialogue: the first observation and the rest in the form of the imitation prompt."""

    id: str
    opening: str
    dialogue: str


def chosen(pool: Sequence[Worked], opening: str, count: int, selection: str, rng: random.Random) -> list[Worked]:
    """`count` of the pool for a problem: drawn at random, or the most similar ones, of which the best comes last (next
    to the new problem)."""
    count = min(count, len(pool))
    if selection == "random":
        return rng.sample(list(pool), count)
    scores = similarities([worked.opening for worked in pool], opening)
    best = sorted(range(len(pool)), key=lambda place: (-scores[place], place))[:count]
    return [pool[place] for place in reversed(best)]


def similarities(texts: Sequence[str], query: str) -> list[float]:
    """Cosine of the texts' words to those of `query`, weighted by how rare a word is among the texts (tf-idf)."""
    counts = [Counter(_WORD.findall(text.lower())) for text in texts]
    frequency = Counter(word for count in counts for word in count)

    def weighted(count: Counter[str]) -> dict[str, float]:
        weights = {word: number * math.log((1 + len(texts)) / (1 + frequency[word])) for word, number in count.items()}
        norm = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        return {word: weight / norm for word, weight in weights.items()}

    wanted = weighted(Counter(_WORD.findall(query.lower())))
    vectors = [weighted(count) for count in counts]
    return [sum(weight * vector.get(word, 0.0) for word, weight in wanted.items()) for vector in vectors]
