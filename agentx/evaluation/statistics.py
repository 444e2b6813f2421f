"""Intervals and tests for small samples of episodes, some of which share a sample (several trials)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from agentx.evaluation.store import Episode

CONFIDENCE = 0.95
RESAMPLES = 10_000
CHUNK = 2_000_000
"""numbers drawn at once while resampling: bounds memory, changes no result"""


@dataclass(frozen=True)
class Interval:
    """An estimate from `n` episodes with its confidence interval, and how that was made."""

    value: float
    low: float
    high: float
    n: int
    method: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class PairedTest:
    """Cell b against cell a on the episodes both have. `difference` is mean(b) - mean(a), with its interval;
    `only_a` and `only_b` count the pairs in which one is better than the other."""

    n: int
    difference: float
    low: float
    high: float
    only_a: int
    only_b: int
    p_value: float
    method: str


def wilson(successes: float, n: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927). `n` may be an effective, fractional size; with no
    observation at all the interval is [0, 1]."""
    if n <= 0:
        return 0.0, 1.0
    z = float(stats.norm.ppf((1 + confidence) / 2))
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At the ends the formula gives 0 and 1 exactly, floating point almost.
    return (0.0 if share == 0 else max(0.0, centre - half)), (1.0 if share == 1 else min(1.0, centre + half))


def success_interval(clusters: Sequence[Sequence[bool]], confidence: float = CONFIDENCE) -> Interval:
    """Share of successes with Wilson's interval. `clusters` holds one list of trials per sample.

    Trials of one sample resemble each other, so with several of them the interval uses the effective sample size
    n / design effect (Rao and Scott 1992), never below the number of samples nor above the number of episodes.
    """
    n = sum(map(len, clusters))
    successes = sum(map(sum, clusters))
    if n == 0:
        return Interval(math.nan, 0.0, 1.0, 0, "no episode")
    share = successes / n
    if all(len(cluster) <= 1 for cluster in clusters):
        return Interval(share, *wilson(successes, n, confidence), n, "wilson")
    samples = sum(1 for cluster in clusters if cluster)
    effective = float(samples)
    if 0 < share < 1 and samples > 1:
        spread = sum((sum(cluster) - share * len(cluster)) ** 2 for cluster in clusters)
        variance = samples / (samples - 1) * spread / n**2
        effective = min(n, max(samples, share * (1 - share) / variance)) if variance > 0 else float(n)
    return Interval(share, *wilson(share * effective, effective, confidence), n, "wilson, clustered by sample")


def mean_interval(
    clusters: Sequence[Sequence[float]],
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Mean over episodes with a percentile bootstrap that redraws whole samples, each with all its trials."""
    filled = [cluster for cluster in clusters if cluster]
    n = sum(map(len, filled))
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0, "no episode")
    sums = np.array([math.fsum(cluster) for cluster in filled])
    sizes = np.array([len(cluster) for cluster in filled], dtype=float)
    value = math.fsum(sums) / n
    means = _resampled_means(sums, sizes, resamples, seed)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    method = "bootstrap" if n == len(filled) else "bootstrap, clustered by sample"
    return Interval(value, float(low), float(high), n, method)


def pass_hat_k(counts: Sequence[tuple[int, int]], k: int) -> float:
    """pass^k: the chance that k trials of one sample all succeed, estimated without bias as the mean over samples
    of C(successes, k) / C(trials, k) (Yao et al. 2024, tau-bench). `counts` holds (successes, trials) per sample;
    samples with fewer than k trials are left out; nan when none is left."""
    usable = [(successes, trials) for successes, trials in counts if trials >= k]
    if not usable:
        return math.nan
    return math.fsum(math.comb(c, k) / math.comb(n, k) for c, n in usable) / len(usable)


def mcnemar(only_a: int, only_b: int) -> float:
    """Exact two-sided p-value of McNemar's test from the numbers of discordant pairs."""
    discordant = only_a + only_b
    return float(stats.binomtest(only_a, discordant, 0.5).pvalue) if discordant else 1.0


def bonett_price(only_a: int, only_b: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Interval of the difference (b - a) of two paired proportions (Bonett and Price 2012). Unlike a bootstrap it does
    not shrink to a point where no pair differs."""
    z = float(stats.norm.ppf((1 + confidence) / 2))
    a, b = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    half = z * math.sqrt((a + b - (b - a) ** 2) / (n + 2))
    return max(-1.0, b - a - half), min(1.0, b - a + half)


def paired_test(
    a: Mapping[Episode, float],
    b: Mapping[Episode, float],
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairedTest:
    """Compare two cells on the episodes (sample, trial) they share; values are successes (0, 1) or rewards.

    Where values are 0 or 1 and each sample has one trial, the p-value is McNemar's exact one and the interval of the
    difference Bonett and Price's. Else the interval is a bootstrap over samples and the p-value that of a sign-flip
    permutation test over samples (all flips for up to 12 samples). Raises ValueError when the cells share no episode.
    """
    shared = sorted(set(a) & set(b))
    if not shared:
        raise ValueError("the two cells share no episode")
    by_sample: dict[str, list[float]] = {}
    for episode in shared:
        by_sample.setdefault(episode[0], []).append(b[episode] - a[episode])
    interval = mean_interval(list(by_sample.values()), confidence, resamples, seed)
    only_a = sum(a[episode] > b[episode] for episode in shared)
    only_b = sum(b[episode] > a[episode] for episode in shared)
    binary = all(value in (0, 1) for cell in (a, b) for value in (cell[episode] for episode in shared))
    low, high = interval.low, interval.high
    if binary and len(by_sample) == len(shared):
        method, p_value = "McNemar, exact", mcnemar(only_a, only_b)
        low, high = bonett_price(only_a, only_b, len(shared), confidence)
    else:
        method = "sign-flip permutation over samples"
        p_value = _sign_flip(np.array([math.fsum(differences) for differences in by_sample.values()]), resamples, seed)
    return PairedTest(len(shared), interval.value, low, high, only_a, only_b, p_value, method)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (Holm 1979) of several p-values, in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def _resampled_means(
    sums: np.ndarray[Any, Any], sizes: np.ndarray[Any, Any], resamples: int, seed: int
) -> np.ndarray[Any, Any]:
    generator = np.random.default_rng(seed)
    rows = max(1, CHUNK // len(sums))
    means = []
    for start in range(0, resamples, rows):
        drawn = generator.integers(len(sums), size=(min(rows, resamples - start), len(sums)))
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    return np.concatenate(means)


def _sign_flip(differences: np.ndarray[Any, Any], resamples: int, seed: int) -> float:
    """Two-sided: under the null hypothesis each sample's difference is as likely with either sign."""
    observed = abs(differences.sum())
    number = len(differences)
    if number <= 12:
        flips = 1 - 2 * ((np.arange(2**number)[:, None] >> np.arange(number)) & 1)
        return float(np.mean(np.abs(flips @ differences) >= observed - 1e-12))
    generator = np.random.default_rng(seed)
    rows = max(1, CHUNK // number)
    extreme = 0
    for start in range(0, resamples, rows):
        flips = generator.choice([-1.0, 1.0], size=(min(rows, resamples - start), number))
        extreme += int(np.sum(np.abs(flips @ differences) >= observed - 1e-12))
    return (extreme + 1) / (resamples + 1)
