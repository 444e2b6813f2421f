"""How agents fail: rates with intervals, before and after tuning, the judge's agreement, paths and subtasks."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from agentx.evaluation.effects import paired_rates
from agentx.evaluation.metrics import FAILURES
from agentx.evaluation.statistics import holm, success_interval
from agentx.reports.comparisons import name_of
from agentx.reports.facts import EpisodeFacts, Pool, identity
from agentx.reports.tables import Table, percent, with_interval

WORDS = {
    "format_error": "format errors",
    "invalid_action": "invalid actions",
    "hallucinated_object": "hallucinated objects",
    "loop": "loops",
}


def failure_tables(pools: Sequence[Pool]) -> list[Table]:
    """Those of the tables below that have something to show."""
    tables = (
        rates_table(pools),
        tuning_table(pools),
        judge_table(pools),
        paths_table(pools),
        subtasks_table(pools),
    )
    return [table for table in tables if table is not None]


def rates_table(pools: Sequence[Pool]) -> Table | None:
    """Share of environment steps with each kind of failure, and where episodes end."""
    if not pools:
        return None
    rows = []
    for pool in pools:
        episodes = _episodes(pool)
        steps = sum(episode.steps for episode in episodes)
        rates = [_rate(pool, failure) for failure in FAILURES]
        ends = [f"{100 * sum(e.outcome == end for e in episodes) / len(episodes):.0f}" for end in ENDS]
        rows.append([_name(pool), pool.row.label, str(pool.n), f"{steps:,}", *rates, *ends])
    notes = [
        "% of environment steps, over all paths, with 95 % intervals that allow for the steps of one sample hanging "
        "together (Wilson, Rao-Scott); an invalid action is well-formed but refused, hallucinated objects included; "
        "a loop is the third equal action in a row and every one after it",
        "the last columns: % of episodes by how they ended",
    ]
    columns = ["cell", "task", "n", "steps", *WORDS.values(), *ENDS.values()]
    return Table("Failures", columns, rows, notes)


ENDS = {
    "completed": "completed",
    "task_limit": "round limit",
    "invalid_action": "ended: action",
    "invalid_format": "ended: format",
    "context_limit": "context full",
    "budget": "budget",
}


def tuning_table(pools: Sequence[Pool]) -> Table | None:
    """Failure rates before and after tuning on the same samples: the paper's claim that tuning cuts format errors and
    hallucinations, measured. None where no model was evaluated both as it is and tuned."""
    parts = {id(pool): identity(pool.row) for pool in pools}
    lines, p_values = [], []
    for before in pools:
        if before.row.tuning != "none":
            continue
        for after in pools:
            same = all(parts[id(before)][name] == parts[id(after)][name] for name in ("model", "method", "task"))
            if after.row.tuning == "none" or not same or before.row.label != after.row.label:
                continue
            for failure, words in WORDS.items():
                a, b = before.events(failure), after.events(failure)
                shared = set(a) & set(b)
                if not shared:
                    continue
                test = paired_rates(a, b)
                interval = f"{_points(test.difference)} [{_points(test.low)}, {_points(test.high)}]"
                name = f"{after.row.model}, {name_of(after, 'method')}: {name_of(after, 'training')}"
                rates = [_rate(pool, failure, shared) for pool in (before, after)]
                lines.append([name, before.row.label, words, str(test.n), *rates, interval])
                p_values.append(test.p_value)
    if not lines:
        return None
    adjusted = holm(p_values)
    rows = [
        [*line, f"{p:.3f}", f"{q:.3f}{'*' if q < 0.05 else ''}"]
        for line, p, q in zip(lines, p_values, adjusted, strict=True)
    ]
    columns = ["cell", "task", "failure", "samples", "before tuning", "after", "after - before", "p", "p (Holm)"]
    notes = [
        "% of environment steps on the samples both cells have, with 95 % intervals; p: before and after change sides "
        "within samples; p (Holm) is corrected for all lines"
    ]
    return Table("Before and after tuning", columns, rows, notes)


def judge_table(pools: Sequence[Pool]) -> Table | None:
    """The judge's verdicts on whole paths against the true outcome; None where no judge was asked."""
    rows = []
    for pool in pools:
        threshold = min((e.reward for e in _episodes(pool) if e.success), default=1.0)
        judged = [
            [(bool(path.judged), path.reward >= threshold) for path in episode.paths if path.judged is not None]
            for episode in _episodes(pool)
        ]
        if not any(judged):
            continue
        precision = [[truth for said, truth in paths if said] for paths in judged]
        recall = [[said for said, truth in paths if truth] for paths in judged]
        agreement = [[said == truth for said, truth in paths] for paths in judged]
        number = sum(map(len, judged))
        rows.append(
            [
                _name(pool),
                pool.row.label,
                str(number),
                *(str(sum(pair == kind for paths in judged for pair in paths)) for kind in KINDS),
                *(_share([values for values in part if values]) for part in (precision, recall, agreement)),
            ]
        )
    if not rows:
        return None
    columns = ["cell", "task", "paths judged", "said yes, was", "said yes, was not", "said no, was", "said no, was not"]
    notes = [
        "precision: of the paths the judge called successful, those that were; recall: of the successful paths, those "
        "it called so; in %, with 95 % intervals"
    ]
    return Table("The judge against the true outcome", [*columns, "precision", "recall", "agreement"], rows, notes)


KINDS = ((True, True), (True, False), (False, True), (False, False))


def paths_table(pools: Sequence[Pool]) -> Table | None:
    """What further paths do: where each leaves the one before it, and whether it ends better."""
    rows = []
    for pool in pools:
        pairs = [pair for episode in _episodes(pool) for pair in zip(episode.paths, episode.paths[1:], strict=False)]
        if not pairs:
            continue
        at = [diverges_at(before.commands, after.commands) for before, after in pairs]
        places = [place for place in at if place is not None]
        rows.append(
            [
                _name(pool),
                pool.row.label,
                str(len(pairs)),
                str(sum(len(episode.paths) > 1 for episode in _episodes(pool))),
                f"{median(places) + 1:g}" if places else "–",
                percent(sum(place is None for place in at) / len(at)),
                percent(sum(after.reward > before.reward for before, after in pairs) / len(pairs)),
                percent(sum(after.reward < before.reward for before, after in pairs) / len(pairs)),
                percent(sum(e.selected > 0 for e in _episodes(pool)) / pool.n),
            ]
        )
    if not rows:
        return None
    columns = ["cell", "task", "later paths", "episodes with them", "leaves at step", "same %", "better %", "worse %"]
    notes = [
        "leaves at step: the median of the first step at which a path does something else than the one before it; "
        "same: it never does; better, worse: its reward against the path before it; later path counts: % of episodes"
    ]
    return Table("Where paths part", [*columns, "later path counts %"], rows, notes)


def subtasks_table(pools: Sequence[Pool]) -> Table | None:
    """Of the first, second … subtask: how often it was begun and how often the judge called it done."""
    rows = []
    for pool in pools:
        paths = [path for episode in _episodes(pool) for path in episode.paths if path.subtasks]
        for position in range(max((path.subtasks for path in paths), default=0)):
            given = [path for path in paths if path.subtasks > position]
            begun = [path for path in given if path.reached > position]
            done = sum(path.done > position for path in begun)
            rows.append(
                [
                    _name(pool),
                    pool.row.label,
                    str(position + 1),
                    str(len(given)),
                    percent(len(begun) / len(given)),
                    percent(done / len(begun)) if begun else "–",
                ]
            )
    if not rows:
        return None
    notes = ["over all paths with a plan; begun in % of those given, done (says the judge) in % of those begun"]
    columns = ["cell", "task", "subtask", "given", "begun %", "done %"]
    return Table("Which subtasks fail", columns, rows, notes)


def diverges_at(before: Sequence[str], after: Sequence[str]) -> int | None:
    """Index of the first step in which two paths differ, the shorter one's end included; None where they are equal."""
    for place, (one, other) in enumerate(zip(before, after, strict=False)):
        if one != other:
            return place
    return None if len(before) == len(after) else min(len(before), len(after))


def _episodes(pool: Pool) -> list[EpisodeFacts]:
    return [episode for cell in pool.cells for episode in cell.episodes]


def _name(pool: Pool) -> str:
    return f"{pool.row.model}, {name_of(pool, 'training')}, {name_of(pool, 'method')}"


def _rate(pool: Pool, failure: str, only: set[str] | None = None) -> str:
    clusters = [
        [True] * int(events) + [False] * int(steps - events)
        for sample, (events, steps) in pool.events(failure).items()
        if steps and (only is None or sample in only)
    ]
    return _share(clusters)


def _share(clusters: Sequence[Sequence[bool]]) -> str:
    interval = success_interval(clusters)
    return "–" if interval.n == 0 else with_interval(interval.to_dict())


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"
