"""Which cells differ, by how much, and whether that is more than chance: paired tests on the samples they share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from agentx.evaluation.effects import cohens_h, paired_d, pairs_to_see
from agentx.evaluation.statistics import PairedTest, holm, paired_test
from agentx.reports.facts import Pool, identity
from agentx.reports.tables import Table, percent

FACTORS = {"model": "model", "training": "training", "method": "method"}
NOTES = (
    "on the samples both cells have: difference B - A with its 95 % interval; only A, only B: "
    "episodes that one cell does better than the other",
    "p: McNemar's exact test where every sample has one success or failure, else a permutation test over samples; "
    "p (Holm) is corrected for all comparisons on the same task",
    "effect: Cohen's h for success rates, the paired d for rewards; samples: how many shared samples would show a "
    "difference of this size with a chance of 80 %",
)


@dataclass(frozen=True)
class Comparison:
    """Pool b against pool a, which differ in one factor only."""

    factor: str
    a: Pool
    b: Pool
    metric: str
    test: PairedTest
    value_a: float
    value_b: float
    effect: float | None
    samples: int | None
    adjusted: float = 1.0
    """p-value after Holm's correction over the task"""


def compare(pools: Sequence[Pool]) -> list[Comparison]:
    """Every two pools of one task that share samples and differ only in model, training or method. Success is
    compared, and where rewards are not just 0 and 1, rewards too."""
    found = [comparison for a, b, factor in _pairs(pools) for comparison in _compared(a, b, factor)]
    adjusted: dict[int, float] = {}
    for label in dict.fromkeys(comparison.a.row.label for comparison in found):
        family = [i for i, comparison in enumerate(found) if comparison.a.row.label == label]
        adjusted.update(zip(family, holm([found[i].test.p_value for i in family]), strict=True))
    return [_with_adjusted(comparison, adjusted[i]) for i, comparison in enumerate(found)]


def comparisons_table(comparisons: Sequence[Comparison]) -> Table | None:
    """One line per comparison; None where no two cells can be compared."""
    if not comparisons:
        return None
    columns = ["A → B", "task", "metric", "n", "A", "B", "B - A [95 %]", "only A", "only B"]
    columns += ["p", "p (Holm)", "effect", "samples"]
    rows, records = [], []
    for c in comparisons:
        n = f"{c.test.n}"
        interval = f"{_points(c.test.difference)} [{_points(c.test.low)}, {_points(c.test.high)}]"
        rows.append(
            [
                f"{name_of(c.a, c.factor)} → {name_of(c.b, c.factor)}{_context(c)}",
                c.a.row.label,
                c.metric,
                n,
                percent(c.value_a),
                percent(c.value_b),
                interval,
                str(c.test.only_a),
                str(c.test.only_b),
                _p(c.test.p_value),
                _p(c.adjusted) + ("*" if c.adjusted < 0.05 else ""),
                "–" if c.effect is None else f"{c.effect:+.2f}",
                "–" if c.samples is None else f"{c.samples:,}",
            ]
        )
        records.append(_record(c))
    sizes = sum(c.adjusted < 0.05 for c in comparisons)
    verdict = f"{sizes} of {len(comparisons)} differences are more than chance would explain (* p (Holm) below 0.05)"
    return Table("Comparisons", columns, rows, [verdict, *NOTES], records=records)


def name_of(pool: Pool, factor: str) -> str:
    """The pool in the words of what varies."""
    row = pool.row
    if factor == "model":
        return row.model
    if factor == "training":
        if row.tuning == "none":
            return "untuned"
        return ", ".join(
            part
            for part in (row.tuning, row.data, f"λ={row.agent_ratio:g}" if row.agent_ratio is not None else "")
            if part
        )
    widths = f" {row.num_path}×{row.num_branch}" if row.num_path > 1 or row.num_branch > 1 else ""
    return row.method + widths + (" (oracle)" if row.uses_oracle else "")


NAMES = ("model", "method", "tuning", "data", "λ")
"""what distinguishes the lines of one task, a column each"""


def names_of(pool: Pool) -> list[str]:
    """A value for each of NAMES."""
    row = pool.row
    ratio = "–" if row.agent_ratio is None else f"{row.agent_ratio:g}"
    tuned = "untuned" if row.tuning == "none" else row.tuning
    return [row.model, name_of(pool, "method"), tuned, row.data or "–", ratio]


def _pairs(pools: Sequence[Pool]) -> Iterator[tuple[Pool, Pool, str]]:
    parts = {id(pool): identity(pool.row) for pool in pools}
    for a, b in combinations(pools, 2):
        one, other = parts[id(a)], parts[id(b)]
        different = [name for name in one if one[name] != other[name]]
        if a.row.label == b.row.label and len(different) == 1 and different[0] in FACTORS:
            # The model as it is comes first: what tuning changed is then the difference.
            swap = different == ["training"] and b.row.tuning == "none"
            yield (b, a, different[0]) if swap else (a, b, different[0])


def _compared(a: Pool, b: Pool, factor: str) -> Iterator[Comparison]:
    for metric in ("success", "reward"):
        first, second = a.values(metric), b.values(metric)
        shared = sorted(set(first) & set(second))
        if not shared:
            return
        if metric == "reward" and all(value in (0, 1) for e in shared for value in (first[e], second[e])):
            return
        test = paired_test(first, second)
        value_a, value_b = (sum(cell[episode] for episode in shared) / len(shared) for cell in (first, second))
        if metric == "success":
            effect: float | None = cohens_h(value_a, value_b)
            samples = pairs_to_see(test.only_a / test.n, test.only_b / test.n)
        else:
            effect = paired_d([second[episode] - first[episode] for episode in shared])
            samples = _pairs_for_d(effect)
        yield Comparison(factor, a, b, metric, test, value_a, value_b, effect, samples)


def _pairs_for_d(effect: float | None) -> int | None:
    """Pairs that a paired test needs for an effect of that size, by the normal approximation."""
    if not effect:
        return None
    # z of the two-sided 5 % level plus z of 80 % power
    return max(2, round((2.8016 / effect) ** 2 + 0.5))


def _with_adjusted(c: Comparison, adjusted: float) -> Comparison:
    return Comparison(c.factor, c.a, c.b, c.metric, c.test, c.value_a, c.value_b, c.effect, c.samples, adjusted)


def _context(c: Comparison) -> str:
    """What the two have in common and other comparisons of the task have not."""
    others = [name_of(c.a, factor) for factor in FACTORS if factor != c.factor]
    return f" ({', '.join(others)})"


def _record(c: Comparison) -> dict[str, Any]:
    return {
        "task": c.a.row.label,
        "factor": c.factor,
        "cell_a": " ".join(cell.row.directory.name for cell in c.a.cells),
        "cell_b": " ".join(cell.row.directory.name for cell in c.b.cells),
        "metric": c.metric,
        "n": c.test.n,
        "a": c.value_a,
        "b": c.value_b,
        "difference": c.test.difference,
        "low": c.test.low,
        "high": c.test.high,
        "only_a": c.test.only_a,
        "only_b": c.test.only_b,
        "p": c.test.p_value,
        "p_holm": c.adjusted,
        "test": c.test.method,
        "effect": c.effect,
        "samples_to_see": c.samples,
    }


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"
