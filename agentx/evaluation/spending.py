"""What the calls of a cell came to: tokens and money by role, what the call cache spared, and why a run stopped.

Unlike the rest of a summary this depends on how the episodes came about: on what lay in caches, and on calls of
episodes that were never finished.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentx.errors import UserError
from agentx.models.prices import Price
from agentx.models.spending import LEDGER, Spent, price_of, read_ledger
from agentx.trajectory import ModelCall, Trajectory

ROLES = "roles.json"
"""per role: the model, its price ("own" hardware, or null where it is unknown), why its replies may not repeat"""
STOPPED = "stopped.json"
"""which limit of the whole run ended it"""


def account(directory: Path, scored: Sequence[Trajectory]) -> dict[str, Any]:
    """`roles`: what the scored episodes used; `run`: everything that was ever asked for this cell, lost episodes
    included. A cost is None where a price is unknown, and where nothing is paid by the token (`priced` says which)."""
    roles = read_roles(directory)
    calls = [call for trajectory in scored for call in trajectory.calls]
    episodes = {role: _used([call for call in calls if call.role == role], noted) for role, noted in roles.items()}
    whole = read_ledger(directory / LEDGER)
    run = Spent()
    for spent in whole.values():
        run.add(spent)
    paid = {role: cost for role, spent in whole.items() if (cost := _cost(spent, roles.get(role, {}))) is not None}
    hits = sum(call.from_cache for call in calls)
    priced = _priced(roles)
    known = priced == "known"
    in_episodes = sum(used["cost"] or 0.0 for used in episodes.values())
    return {
        "priced": priced,
        "currency": _currency(roles),
        "cost": in_episodes if known else None,
        "cost_per_episode": in_episodes / len(scored) if known and scored else None,
        "roles": episodes,
        "run": {**_plain(run), "cost": sum(paid.values()) if known else None},
        "cache": {"calls": len(calls), "hits": hits, "hit_rate": hits / len(calls) if calls else None},
    }


def not_repeatable(directory: Path) -> dict[str, str]:
    """Why replies may differ next time, by role; empty where the cell's back ends promise that they do not."""
    return {
        role: str(noted["not_repeatable"]) for role, noted in read_roles(directory).items() if noted["not_repeatable"]
    }


def read_roles(directory: Path) -> dict[str, Any]:
    """Raises UserError where the file is broken."""
    path = directory / ROLES
    if not path.exists():
        return {}
    try:
        roles = json.loads(path.read_text(encoding="utf-8"))
        for noted in roles.values():
            noted["model"], noted["price"], noted["not_repeatable"]
            _price(noted)
        return dict(roles)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run the cell again to write it anew") from error


def write_stopped(directory: Path, limit: str) -> None:
    (directory / STOPPED).write_text(json.dumps({"limit": limit}) + "\n", encoding="utf-8")


def read_stopped(directory: Path) -> str | None:
    """The limit that ended the last run; None where none did."""
    path = directory / STOPPED
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["limit"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); delete it") from error


def _used(calls: Sequence[ModelCall], noted: Mapping[str, Any]) -> dict[str, Any]:
    """Tokens of every call, those from the call cache apart, and the cost of those that were made."""
    made = Spent()
    spared = Spent()
    for call in calls:
        sums = spared if call.from_cache else made
        sums.add(Spent(1, call.prompt_tokens, call.cached_tokens, call.completion_tokens, int(call.estimated)))
    return {
        "model": noted["model"],
        **_plain(made),
        "from_cache": {"calls": spared.calls, "tokens": spared.tokens},
        "cost": _cost(made, noted),
    }


def _plain(spent: Spent) -> dict[str, int]:
    return dict(vars(spent))


def _price(noted: Mapping[str, Any]) -> Price | None:
    price = noted.get("price")
    return Price(**price) if isinstance(price, Mapping) else None


def _cost(spent: Spent, noted: Mapping[str, Any]) -> float | None:
    price = _price(noted)
    return None if price is None else price_of(spent, price)


def _priced(roles: Mapping[str, Any]) -> str:
    """known, unknown (for one role at least), or own: nothing is paid by the token."""
    prices = [noted["price"] for noted in roles.values()]
    if not prices or any(price is None for price in prices):
        return "unknown"
    currencies = {price["currency"] for price in prices if isinstance(price, Mapping)}
    return "own" if not currencies else "known" if len(currencies) == 1 else "unknown"


def _currency(roles: Mapping[str, Any]) -> str | None:
    currencies = {price.currency for noted in roles.values() if (price := _price(noted)) is not None}
    return currencies.pop() if len(currencies) == 1 else None
