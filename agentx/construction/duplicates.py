"""Near-duplicates among trajectories, and trajectories too near to an evaluated problem."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from agentx.construction.record import Dialogue

_WORD = re.compile(r"\w+")
PERMUTATIONS = 128
SHINGLE = 5
"""words"""


def shingles(text: str, length: int = SHINGLE) -> set[str]:
    """Every run of `length` words; a shorter text is one."""
    words = _WORD.findall(text.lower())
    return {" ".join(words[start : start + length]) for start in range(max(1, len(words) - length + 1))}


def near_duplicates(texts: Sequence[str], threshold: float) -> dict[int, int]:
    """Of the texts that have nearly the shingles of an earlier one, its number, by their own.

    MinHash finds the candidates, their true Jaccard similarity decides. A text that is dropped is no example for later
    ones.
    """
    from datasketch import MinHash, MinHashLSH

    # A little below the threshold, so that an estimate on the low side is not lost.
    index = MinHashLSH(threshold=max(0.05, threshold - 0.1), num_perm=PERMUTATIONS)
    kept: dict[str, set[str]] = {}
    found: dict[int, int] = {}
    for number, text in enumerate(texts):
        own = shingles(text)
        sketch = MinHash(num_perm=PERMUTATIONS, seed=1)
        sketch.update_batch([shingle.encode() for shingle in sorted(own)])
        nearest = [int(key) for key in index.query(sketch) if jaccard(own, kept[str(key)]) >= threshold]
        if nearest:
            found[number] = min(nearest)
            continue
        kept[str(number)] = own
        index.insert(str(number), sketch)
    return found


def jaccard(one: set[str], other: set[str]) -> float:
    return len(one & other) / len(one | other) if one or other else 1.0


def leaks(texts: Sequence[str], evaluated: Iterable[tuple[str, str]], threshold: float) -> dict[int, str]:
    """Of the problems (first observations) that have nearly the shingles of an evaluated one, its id, by their own
    number."""
    known = [(name, shingles(text)) for name, text in evaluated]
    found = {}
    for number, text in enumerate(texts):
        own = shingles(text)
        nearest = next((name for name, other in known if jaccard(own, other) >= threshold), None)
        if nearest is not None:
            found[number] = nearest
    return found


def said(dialogue: Dialogue) -> str:
    """What of a trajectory is compared with others: all of it but the prompt in front."""
    parts = [dialogue.opening]
    for turn in dialogue.turns:
        parts += [turn.reply, turn.observation]
    return "\n".join(parts)
