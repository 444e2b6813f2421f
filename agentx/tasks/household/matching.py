"""From what the agent wrote to a command of the game, as AgentBench 0.2 does it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agentx.tasks.household.settings import Matching

THRESHOLD = 0.01
"""A best BLEU of no more than this leaves the action as it is (AgentBench 0.2)."""

_MAX_ORDER = 4
_SMOOTHING = 5


@dataclass(frozen=True)
class Match:
    """`replaced`: the command is not what the agent wrote but the available one most like it."""

    command: str
    replaced: bool = False


def normalise(action: str | None) -> str:
    """First line, lower case, no outer white space; '' where there is no action."""
    return (action or "").strip().lower().split("\n")[0].strip()


def match(action: str, admissible: Sequence[str], matching: Matching) -> Match:
    """The command to run for a normalised action: itself when available, else the available command with the
    highest BLEU (the first of equals), else itself."""
    if matching == "exact" or not admissible or action in admissible:
        return Match(action)
    candidate = action.split()
    scores = [sentence_bleu(command.split(), candidate) for command in admissible]
    best = max(range(len(scores)), key=scores.__getitem__)
    return Match(admissible[best], replaced=True) if scores[best] > THRESHOLD else Match(action)


def sentence_bleu(reference: Sequence[str], candidate: Sequence[str]) -> float:
    """BLEU-4 of one sentence against one reference with smoothing 4 of Chen and Cherry (2014), in [0, 1].

    Follows NLTK's `sentence_bleu` with `SmoothingFunction().method4`, which AgentBench calls, in its particulars: an
    order with no match counts 1 / (2^j · 5 / ln(length)) for the j-th such order, orders that stay at zero (for a
    single word) drop out of the mean, and no common word at all gives 0. The order of the arithmetic is NLTK's as well,
    so that equal scores are equal in both.
    """
    length = len(candidate)
    logarithms = []
    missing = 0
    for order in range(1, _MAX_ORDER + 1):
        counts = Counter(tuple(candidate[start : start + order]) for start in range(length - order + 1))
        available = Counter(tuple(reference[start : start + order]) for start in range(len(reference) - order + 1))
        matched: float = sum((counts & available).values())
        if matched == 0:
            if order == 1:
                return 0.0
            if length == 1:
                continue
            missing += 1
            matched = 1 / (2**missing * _SMOOTHING / math.log(length))
        logarithms.append(math.log(matched / max(1, counts.total())) / _MAX_ORDER)
    brevity = 1.0 if length > len(reference) else math.exp(1 - len(reference) / length)
    return brevity * math.exp(math.fsum(logarithms))
