"""How large a difference is, and how many samples it takes to see one: what a p-value does not tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from agentx.evaluation.statistics import CHUNK, CONFIDENCE, RESAMPLES, PairedTest

POWER = 0.8
"""chance of seeing a difference that is there; the convention since Cohen (1988)"""


def cohens_h(a: float, b: float) -> float:
    """Effect size of two proportions, b against a: 2·asin√b - 2·asin√a (Cohen 1988). 0.2 is called small, 0.5 medium,
    0.8 large."""
    return 2 * math.asin(math.sqrt(b)) - 2 * math.asin(math.sqrt(a))


def paired_d(differences: Sequence[float]) -> float | None:
    """Mean difference in units of the differences' standard deviation; None with fewer than two or no spread."""
    if len(differences) < 2:
        return None
    spread = float(np.std(differences, ddof=1))
    return float(np.mean(differences)) / spread if spread > 0 else None


def samples_to_see(a: float, b: float, confidence: float = CONFIDENCE, power: float = POWER) -> int | None:
    """Samples each of two independent cells needs so that a two-sided test sees success rates a and b differ; by the
    arcsine transformation (Cohen 1988, chapter 6). None for equal rates."""
    effect = abs(cohens_h(a, b))
    return None if effect == 0 else math.ceil(2 * (_reach(confidence, power) / effect) ** 2)


def pairs_to_see(only_a: float, only_b: float, confidence: float = CONFIDENCE, power: float = POWER) -> int | None:
    """Samples that two cells must share so that McNemar's test sees them differ, where a sample is solved by a alone
    with chance `only_a` and by b alone with chance `only_b` (Connor 1987). None where the chances are equal."""
    discordant, difference = only_a + only_b, abs(only_b - only_a)
    if difference == 0:
        return None
    z_alpha, z_beta = stats.norm.ppf((1 + confidence) / 2), stats.norm.ppf(power)
    root = z_alpha * math.sqrt(discordant) + z_beta * math.sqrt(max(0.0, discordant - difference**2))
    return max(1, math.ceil((root / difference) ** 2))


def smallest_visible_rise(rate: float, n: int, confidence: float = CONFIDENCE, power: float = POWER) -> float | None:
    """By how much the success rate has to rise above `rate` so that two independent cells of n samples show it; None
    where even 1 would not."""
    if n < 1:
        return None
    angle = math.asin(math.sqrt(rate)) + _reach(confidence, power) / math.sqrt(2 * n)
    return math.sin(angle) ** 2 - rate if angle <= math.pi / 2 else None


Events = Mapping[str, tuple[float, float]]
"""by sample: how often something happened, and how often it could have"""


def paired_rates(
    a: Events, b: Events, confidence: float = CONFIDENCE, resamples: int = RESAMPLES, seed: int = 0
) -> PairedTest:
    """Compare two cells' rates of some event per step on the samples they share, e.g. format errors before and after
    tuning. The steps of one sample hang together, so whole samples are redrawn for the interval and change sides for
    the p-value (permutation). `difference` is rate(b) - rate(a). Raises ValueError without a shared sample.
    """
    shared = sorted(set(a) & set(b))
    if not shared:
        raise ValueError("the two cells share no sample")
    first = np.array([a[sample] for sample in shared], dtype=float)
    second = np.array([b[sample] for sample in shared], dtype=float)
    observed = float(_rate(second.sum(axis=0)) - _rate(first.sum(axis=0)))
    generator = np.random.default_rng(seed)
    differences, extreme = [], 0
    rows = max(1, CHUNK // len(shared))
    for start in range(0, resamples, rows):
        size = (min(rows, resamples - start), len(shared))
        drawn = generator.integers(len(shared), size=size)
        differences.append(_rate(second[drawn].sum(axis=1)) - _rate(first[drawn].sum(axis=1)))
        stays = generator.integers(2, size=size).astype(float)
        before, after = stays @ first + (1 - stays) @ second, stays @ second + (1 - stays) @ first
        extreme += int(np.sum(np.abs(_rate(after) - _rate(before)) >= abs(observed) - 1e-12))
    low, high = np.quantile(np.concatenate(differences), [(1 - confidence) / 2, (1 + confidence) / 2])
    return PairedTest(
        len(shared),
        observed,
        float(low),
        float(high),
        int(np.sum(_rate(first) > _rate(second))),
        int(np.sum(_rate(second) > _rate(first))),
        (extreme + 1) / (resamples + 1),
        "permutation over samples",
    )


def _rate(events: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Events per chance along the last axis; 0 where nothing could happen."""
    return np.asarray(events[..., 0] / np.maximum(events[..., 1], 1))


def _reach(confidence: float, power: float) -> float:
    return float(stats.norm.ppf((1 + confidence) / 2) + stats.norm.ppf(power))
