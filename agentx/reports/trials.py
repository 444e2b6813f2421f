"""How reliably a problem is solved when it is tried again."""

from __future__ import annotations

from collections.abc import Sequence

from agentx.evaluation.statistics import mean_interval, pass_hat_k
from agentx.reports.comparisons import NAMES, names_of
from agentx.reports.facts import Pool
from agentx.reports.tables import Table, notes_on, with_interval, with_shared_caption


def trials_table(pools: Sequence[Pool]) -> Table | None:
    """pass^k of every cell with several trials a sample (seeds count as trials); None where there is none."""
    tried = {id(pool): pool.trials("success") for pool in pools}
    most = max((max(map(len, tried[id(pool)]), default=0) for pool in pools), default=0)
    if most < 2:
        return None
    rows, repeated = [], 0
    for pool in pools:
        trials = tried[id(pool)]
        own = max(map(len, trials), default=0)
        if own < 2:
            continue
        repeated += all(len(set(values)) == 1 for values in trials)
        values = [_pass_hat(trials, k) if k <= own else "–" for k in range(1, most + 1)]
        rows.append([*names_of(pool), pool.row.label, str(len(trials)), str(own), *values])
    columns = [*NAMES, "task", "samples", "trials", *(f"pass^{k} %" for k in range(1, most + 1))]
    notes = [
        "pass^k: the chance that k tries at one sample all succeed; estimated from the trials of each sample without "
        "bias, with a 95 % interval by bootstrap over samples; seeds count as trials"
    ]
    if repeated:
        notes.append(
            f"in {repeated} of {len(rows)} lines every trial of a sample ended like its first: without sampling "
            "(temperature 0) trials repeat each other and bring nothing but cost"
        )
    notes += notes_on([pool.row for pool in pools])
    return with_shared_caption(Table("Several trials", columns, rows, notes), [*NAMES, "task"])


def _pass_hat(trials: Sequence[Sequence[float]], k: int) -> str:
    """Over the samples with at least k trials."""
    each = [pass_hat_k([(sum(map(bool, values)), len(values))], k) for values in trials if len(values) >= k]
    return with_interval(mean_interval([[value] for value in each]).to_dict())
