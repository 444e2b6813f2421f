"""What became of the trajectories, stage by stage, and what they cost: the run's report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentx.construction.record import STAGES, Cost, Status
from agentx.construction.selection import Result

REPORT = "report.json"


def report(results: Sequence[Result], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Counts, yields and costs as plain values; `facts` (task, teacher, environment …) come first."""
    reasons = Counter(verdict.reason for _, verdict in results if verdict.reason is not None)
    left = len(results)
    stages = {}
    for stage, possible in STAGES.items():
        lost = sum(reasons[reason] for reason in possible)
        stages[stage] = {
            "in": left,
            "out": left - lost,
            "rejected": {reason.value: reasons[reason] for reason in possible if reasons[reason]},
        }
        left -= lost
    statuses = Counter(verdict.status for _, verdict in results)
    roles: dict[str, Cost] = {}
    for dialogue, _ in results:
        for role, cost in dialogue.costs.items():
            roles.setdefault(role, Cost()).add(cost)
    whole = Cost.total(roles.values())
    kept = statuses[Status.VERIFIED] + statuses[Status.REPAIRED]
    compared = sum(verdict.replies for _, verdict in results)
    replaced = sum(len(verdict.replaced) for _, verdict in results)
    return {
        **facts,
        "begun": len(results),
        "verified": statuses[Status.VERIFIED],
        "repaired": statuses[Status.REPAIRED],
        "rejected": statuses[Status.REJECTED],
        "kept": kept,
        "yield": _share(kept, len(results)),
        "stages": stages,
        "simulated_replies": {
            "compared": compared,
            "replaced": replaced,
            "agreement": _share(compared - replaced, compared),
            "contradicting_earlier_ones": sum(verdict.contradictions for _, verdict in results),
        },
        "asked_again": sum(dialogue.malformed for dialogue, _ in results),
        "cost": asdict(whole),
        "cost_by_role": {role: asdict(cost) for role, cost in sorted(roles.items())},
        "tokens_per_kept": whole.tokens / kept if kept else None,
        "money_per_kept": whole.money / kept if kept and whole.money is not None else None,
        "writing_seconds": round(sum(dialogue.seconds for dialogue, _ in results), 1),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def comparable(directory: Path, own: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The reports of runs beside `directory` that differ from `own` in who answered at most, `own` included; in the
    order simulated, real, verified."""
    found = {str(own["environment"]): dict(own)}
    for path in sorted(directory.parent.glob(f"*/{REPORT}")):
        try:
            other = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(other, dict) and other.get("comparable") == own["comparable"]:
            found.setdefault(str(other.get("environment")), other)
    order = ("simulated", "real", "verified")
    return [found[mode] for mode in order if mode in found]


def markdown(own: Mapping[str, Any], beside: Sequence[Mapping[str, Any]]) -> str:
    """The report in Markdown: stages, replies, cost by role, and who answered compared on yield and cost."""
    lines = [f"# Construction of {own['task']} data: teacher {own['teacher']}, environment {own['environment']}", ""]
    if own["simulated_teacher"]:
        lines += ["The teacher is simulated: no language model wrote these trajectories.", ""]
    lines += ["| stage | in | out | yield % | rejected |", "|---|---:|---:|---:|---|"]
    for name, stage in own["stages"].items():
        why = ", ".join(f"{reason} {count}" for reason, count in stage["rejected"].items()) or "–"
        lines.append(f"| {name} | {stage['in']} | {stage['out']} | {_percent(stage['out'], stage['in'])} | {why} |")
    lines += [
        "",
        f"{own['begun']} begun: {own['verified']} verified, {own['repaired']} repaired, {own['rejected']} rejected; "
        f"{own['kept']} kept.",
    ]
    replies = own["simulated_replies"]
    if replies["compared"]:
        lines.append(
            f"{replies['compared']} simulated replies compared with the real environment's: "
            f"{replies['replaced']} replaced, agreement "
            f"{_percent(replies['compared'] - replies['replaced'], replies['compared'])} %; "
            f"{replies['contradicting_earlier_ones']} contradicted an earlier reply of their dialogue."
        )
    money = own["currency"] or "cost"
    lines += [f"{own['asked_again']} replies had to be asked for again.", ""]
    lines += [f"| role | calls | prompt tokens | reply tokens | {money} |", "|---|---:|---:|---:|---:|"]
    for role, cost in {**own["cost_by_role"], "all": own["cost"]}.items():
        lines.append(
            f"| {role} | {cost['calls']:,} | {cost['prompt_tokens']:,} | {cost['completion_tokens']:,} | "
            f"{_amount(cost['money'])} |"
        )
    if own["paid"] is not None:
        whole = Cost(**own["paid"])
        lines += [
            "",
            f"All calls, unfinished trajectories and earlier starts included: {whole.calls:,} calls, {whole.tokens:,} "
            f"tokens, {money} {_amount(whole.money)}.",
        ]
    lines += ["", "## Who answers the actions", ""]
    lines += [
        "| environment | begun | verified | repaired | rejected | yield % | calls | tokens | tokens per kept "
        f"| {money} | {money} per kept |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for other in beside:
        cost, each = other["cost"], other["tokens_per_kept"]
        tokens = cost["prompt_tokens"] + cost["completion_tokens"]
        lines.append(
            f"| {other['environment']} | {other['begun']} | {other['verified']} | {other['repaired']} | "
            f"{other['rejected']} | {_percent(other['kept'], other['begun'])} | {cost['calls']:,} | {tokens:,} | "
            f"{'–' if each is None else f'{each:,.0f}'} | {_amount(cost['money'])} | "
            f"{_amount(other['money_per_kept'])} |"
        )
    if len(beside) < 2:
        lines += ["", "Run the same command with another job.environment (simulated, real, verified) to compare."]
    return "\n".join(lines) + "\n"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "–"


def _amount(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4f}"
