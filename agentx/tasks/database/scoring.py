"""Whether an answer is right, by AgentBench's two comparisons. An answer is read as a literal, never evaluated."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from typing import Any

from agentx.tasks.database.settings import Scoring

# Longer answers are taken as one string: no label comes near, and reading literals takes memory.
_LONGEST_LITERAL = 20_000
_NOTHING = ("", "none", "null", "undefined", "nan", "inf")
_TOLERANCE = 1e-2


def is_correct(answer: str, label: Sequence[str], scoring: Scoring) -> bool:
    """Compare the text after `Final Answer:` with the accepted values."""
    given = read_answer(answer)
    return _main(given, label) if scoring == "agentbench_main" else _v02(given, label)


def read_answer(answer: str) -> list[Any]:
    """The values of a Python list, tuple or set of literals; any other text is one value."""
    text = answer.strip()
    if len(text) <= _LONGEST_LITERAL:
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return [text]
        if isinstance(value, list | tuple | set):
            return list(value)
    return [text]


def _v02(given: list[Any], label: Sequence[str]) -> bool:
    if len(given) == len(label) == 1:
        try:
            return float(given[0]) == float(label[0])
        except (TypeError, ValueError, OverflowError):
            return bool(given[0] == label[0])
    try:
        return set(given) == set(label)
    except (TypeError, RecursionError):
        return False


def _main(given: list[Any], label: Sequence[str]) -> bool:
    ours, theirs = [_cleaned(value) for value in given], [_cleaned(value) for value in label]
    numbers, expected = _numbers(ours), _numbers(theirs)
    if numbers is None or expected is None:
        return set(ours) == set(theirs)
    # Matched one to one: in sorted order, whenever any pairing fits within the tolerance this one does.
    return len(numbers) == len(expected) and all(
        abs(one - other) <= _TOLERANCE for one, other in zip(sorted(numbers), sorted(expected), strict=True)
    )


def _cleaned(value: Any) -> str:
    if not isinstance(value, str | int | float | None):
        return repr(value)[:_LONGEST_LITERAL]
    try:
        text = str(value).strip().replace(",", "").removesuffix("%").strip()
    except ValueError:  # an integer with more digits than Python writes
        return "unreadable"
    return "0" if text.lower() in _NOTHING else text


def _numbers(texts: Sequence[str]) -> list[float] | None:
    """None unless all of them are finite numbers."""
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None
