"""How agents fail: rates with intervals, before and after tuning, the judge's agreement, paths and subtasks."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from agentx.evaluation.effects import paired_rates
from agentx.evaluation.metrics import FAILURES
from agentx.evaluation.statistics import PairedTest, holm, success_interval
from agentx.reports.comparisons import NAMES, name_of, names_of
from agentx.reports.facts import EpisodeFacts, Pool, identity
from agentx.reports.tables import Table, percent, with_interval, with_shared_caption

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
        rates = [_event_rate(pool.events(failure)) for failure in FAILURES]
        ends = [f"{100 * sum(e.outcome == end for e in episodes) / len(episodes):.0f}" for end in ENDS]
        rows.append([*names_of(pool), pool.row.label, str(pool.n), f"{steps:,}", *rates, *ends])
    notes = [
        "% of environment steps, over all paths, with 95 % intervals that allow for the steps of one sample hanging "
        "together (Wilson, Rao-Scott); an invalid action is well-formed but refused, hallucinated objects included; "
        "a loop is the third equal action in a row and every one after it",
        "the last columns: % of episodes by how they ended",
    ]
    columns = [*NAMES, "task", "n", "steps", *WORDS.values(), *ENDS.values()]
    return with_shared_caption(Table("Failures", columns, rows, notes), [*NAMES, "task"])


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
    lines: list[list[str]] = []
    tests: dict[int, PairedTest] = {}
    for before in pools:
        if before.row.tuning != "none":
            continue
        for after in pools:
            same = all(parts[id(before)][name] == parts[id(after)][name] for name in ("model", "method", "task"))
            if after.row.tuning == "none" or not same or before.row.label != after.row.label:
                continue
            for words, failure, well_formed in BEFORE_AND_AFTER:
                a, b = (_with_steps(pool.events(failure, well_formed=well_formed)) for pool in (before, after))
                shared = sorted(set(a) & set(b))
                if not shared:
                    continue
                rates = [_event_rate({sample: events[sample] for sample in shared}) for events in (a, b)]
                line = [*names_of(after), before.row.label, words, str(len(shared)), *rates]
                # Where nothing happened there is nothing to test, nor to correct for.
                if any(events[sample][0] for events in (a, b) for sample in shared):
                    tests[len(lines)] = paired_rates(a, b)
                lines.append(line)
    if not lines:
        return None
    adjusted = _adjusted(tests, [line[len(NAMES)] for line in lines])
    rows = [[*line, *_tested(tests.get(i), adjusted.get(i))] for i, line in enumerate(lines)]
    columns = [*NAMES, "task", "failure", "samples", "before tuning", "after", "after - before", "p", "p (Holm)"]
    verdict = f"{sum(p < 0.05 for p in adjusted.values())} of {len(adjusted)} tested differences are more than chance"
    notes = [
        f"{verdict} would explain (* p (Holm) below 0.05)",
        "% of environment steps on the samples both have, with 95 % intervals; p: before and after change sides within "
        "samples; p (Holm) is corrected for all differences on the same task; –: it never happened",
        "well-formed: of the steps whose format was right, because only these can hold an invalid action: a model that "
        "learns the format gets more chances to name something that is not there",
    ]
    return with_shared_caption(Table("Before and after tuning", columns, rows, notes), [*NAMES, "task"])


BEFORE_AND_AFTER = (
    *((words, failure, False) for failure, words in WORDS.items()),
    ("invalid, well-formed", "invalid_action", True),
    ("hallucinated, well-formed", "hallucinated_object", True),
)
"""what a line says, of which failure, and whether of the steps alone whose format was right"""


def _with_steps(events: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    return {sample: counts for sample, counts in events.items() if counts[1]}


def _adjusted(tests: dict[int, PairedTest], tasks: Sequence[str]) -> dict[int, float]:
    """p-values after Holm's correction over the lines of each task, by line."""
    found: dict[int, float] = {}
    for task in dict.fromkeys(tasks):
        family = [i for i in tests if tasks[i] == task]
        found.update(zip(family, holm([tests[i].p_value for i in family]), strict=True))
    return found


def _tested(test: PairedTest | None, adjusted: float | None) -> list[str]:
    if test is None or adjusted is None:
        return ["–", "–", "–"]
    interval = f"{_points(test.difference)} [{_points(test.low)}, {_points(test.high)}]"
    return [interval, f"{test.p_value:.3f}", f"{adjusted:.3f}{'*' if adjusted < 0.05 else ''}"]


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


def _event_rate(events: dict[str, tuple[float, float]]) -> str:
    """From events and steps by sample."""
    return _share([[True] * int(some) + [False] * int(steps - some) for some, steps in events.values() if steps])


def _share(clusters: Sequence[Sequence[bool]]) -> str:
    interval = success_interval(clusters)
    return "–" if interval.n == 0 else with_interval(interval.to_dict())


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"
