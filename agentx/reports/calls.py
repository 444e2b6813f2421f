"""What a cell's calls used and cost, where its replies may vary, and what stopped it: a line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentx.reports.collect import Row


def remarks(row: Row) -> list[str]:
    """Nothing for a cell from before this was recorded."""
    cell = f"{row.label}, {row.model}, {row.tuning}, {row.method}"
    lines = spending_lines(row.summary.get("spending") or {})
    lines += [f"{role} may vary: {reason}" for role, reason in (row.summary.get("not_repeatable") or {}).items()]
    lines += [f"stopped: {row.summary['stopped']}"] if row.summary.get("stopped") else []
    return [f"{cell}: {line}" for line in lines]


def spending_lines(spending: Mapping[str, Any]) -> list[str]:
    """By role, then the whole run with the episodes that were never finished."""
    lines = []
    currency = spending.get("currency")
    for role, used in (spending.get("roles") or {}).items():
        spared = used["from_cache"]
        parts = [
            f"{used['calls']} calls",
            f"{used['prompt_tokens']:,} prompt tokens ({used['cached_tokens']:,} cached)",
            f"{used['completion_tokens']:,} completion tokens",
        ]
        if spared["calls"]:
            parts.append(f"{spared['calls']} calls from the call cache ({spared['tokens']:,} tokens)")
        if used["cost"] is not None:
            parts.append(f"{used['cost']:.4f} {currency}")
        lines.append(f"{role} ({used['model']}): {', '.join(parts)}")
    if lines and spending.get("priced") != "own":
        run = spending["run"]
        cost = "cost unknown: a price is missing" if run["cost"] is None else f"{run['cost']:.4f} {currency}"
        lines.append(f"whole run, unfinished episodes included: {run['calls']} calls, {cost}")
    return lines
