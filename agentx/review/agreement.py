"""How far reviewers agree, and which of two models they prefer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from agentx.evaluation.statistics import Interval, wilson


@dataclass(frozen=True)
class Agreement:
    """Cohen's κ of two reviewers on the `n` items both decided (Cohen 1960); NaN where chance alone explains all.

    `low` and `high` are the 95 % interval from κ's large-sample standard error (Fleiss, Cohen and Everitt 1969).
    """

    first: str
    second: str
    n: int
    observed: float
    kappa: float
    low: float
    high: float


def cohens_kappa(first: str, second: str, a: Mapping[str, str], b: Mapping[str, str]) -> Agreement:
    """Agreement of two reviewers' choices by item. With no item in common all figures are NaN."""
    common = [item for item in a if item in b]
    n = len(common)
    if not n:
        return Agreement(first, second, 0, math.nan, math.nan, math.nan, math.nan)
    cells = Counter((a[item], b[item]) for item in common)
    labels = sorted({label for pair in cells for label in pair})
    row = {label: sum(cells[label, other] for other in labels) / n for label in labels}
    column = {label: sum(cells[other, label] for other in labels) / n for label in labels}
    observed = sum(cells[label, label] for label in labels) / n
    chance = sum(row[label] * column[label] for label in labels)
    if chance == 1:
        return Agreement(first, second, n, observed, math.nan, math.nan, math.nan)
    kappa = (observed - chance) / (1 - chance)
    along = sum(cells[label, label] / n * (1 - (row[label] + column[label]) * (1 - kappa)) ** 2 for label in labels)
    across = (1 - kappa) ** 2 * sum(
        cells[x, y] / n * (column[x] + row[y]) ** 2 for x in labels for y in labels if x != y
    )
    variance = (along + across - (kappa - chance * (1 - kappa)) ** 2) / (n * (1 - chance) ** 2)
    half = 1.959964 * math.sqrt(max(variance, 0.0))
    return Agreement(first, second, n, observed, kappa, max(-1.0, kappa - half), min(1.0, kappa + half))


def agreements(choices: Mapping[str, Mapping[str, str]]) -> list[Agreement]:
    """Of every two reviewers who have items in common; `choices` maps reviewer → item → choice."""
    found = [cohens_kappa(a, b, choices[a], choices[b]) for a, b in combinations(sorted(choices), 2)]
    return [agreement for agreement in found if agreement.n]


@dataclass(frozen=True)
class Preference:
    """Of `n` comparisons: how often each side was better. `win_rate` counts a tie (or neither) as half a win for the
    second file, with Wilson's 95 % interval over all comparisons."""

    n: int
    first: int
    second: int
    tie: int
    neither: int
    win_rate: Interval


def preference(choices: Mapping[str, Mapping[str, str]]) -> Preference:
    """All reviewers' comparisons together. Each item weighs as much as it was compared often."""
    counts = Counter(choice for by_item in choices.values() for choice in by_item.values())
    n = sum(counts[name] for name in ("first", "second", "tie", "neither"))
    wins = counts["second"] + (counts["tie"] + counts["neither"]) / 2
    low, high = wilson(wins, n)
    value = wins / n if n else math.nan
    return Preference(
        n, counts["first"], counts["second"], counts["tie"], counts["neither"],
        Interval(value, low, high, n, "wilson, ties as halves"),
    )  # fmt: skip
