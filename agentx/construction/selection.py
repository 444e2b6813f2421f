"""From verified trajectories to the data: filters over each, then over all of them."""

from __future__ import annotations

from collections.abc import Sequence

from agentx.construction import duplicates
from agentx.construction.filters import objection
from agentx.construction.record import Dialogue, Reason, Status, Verdict
from agentx.construction.settings import FilterSettings

Result = tuple[Dialogue, Verdict]


def select(results: Sequence[Result], settings: FilterSettings, evaluated: Sequence[tuple[str, str]]) -> list[Result]:
    """The same results in their order, those that a filter objects to rejected. `evaluated` are (id, first observation)
    of problems that may not leak into the data."""
    chosen = [(dialogue, verdict) for dialogue, verdict in results]
    for place, (dialogue, verdict) in enumerate(chosen):
        if verdict.kept and (found := objection(dialogue, settings)):
            chosen[place] = dialogue, _reject(verdict, *found)
    if settings.leakage is not None and evaluated:
        kept = _kept(chosen)
        leaked = duplicates.leaks([chosen[place][0].opening for place in kept], evaluated, settings.leakage)
        for number, name in leaked.items():
            _reject_at(chosen, kept[number], Reason.LEAKED, f"the evaluated problem {name}")
    if settings.duplicates is not None:
        kept = _kept(chosen)
        doubles = duplicates.near_duplicates([duplicates.said(chosen[place][0]) for place in kept], settings.duplicates)
        for number, first in doubles.items():
            _reject_at(chosen, kept[number], Reason.DUPLICATE, f"of {chosen[kept[first]][0].id}")
    return chosen


def _kept(results: Sequence[Result]) -> list[int]:
    return [place for place, (_, verdict) in enumerate(results) if verdict.kept]


def _reject_at(results: list[Result], place: int, reason: Reason, detail: str) -> None:
    dialogue, verdict = results[place]
    results[place] = dialogue, _reject(verdict, reason, detail)


def _reject(verdict: Verdict, reason: Reason, detail: str) -> Verdict:
    """A copy: what verification said stays in the journal."""
    rejected = Verdict.from_dict(verdict.to_dict())
    rejected.status, rejected.reason, rejected.detail = Status.REJECTED, reason, detail
    return rejected
