"""Policy, planner and judge of an evaluation: opened, metered and cached, and noted in the cell."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentx.config import Config
from agentx.evaluation.spending import ROLES
from agentx.evaluation.summary import write_whole
from agentx.jobs.assignments import Assignment, active, assignments
from agentx.models.cache import CachedModel, CallCache
from agentx.models.chat import ChatModel, Roles
from agentx.models.identity import is_served, render_mode, reply_identity, why_not_repeatable
from agentx.models.loading import open_model
from agentx.models.prices import Price, price_for
from agentx.models.settings import BackendSettings, ModelSettings
from agentx.models.spending import LEDGER, Ledger, MeteredModel

CACHE = "calls.sqlite"
NOT_DECISIVE = ("gated", "licence", "parameters")


def describe(config: Config, adapter: Path | None) -> dict[str, Any]:
    """What a cell notes of each role that the method has."""
    given = assignments(config, adapter)
    noted = {}
    for role in active(config):
        model, backend = given[role].model, given[role].backend
        price = price_for(model, backend, config.paths.prices)
        noted[role] = {
            "model": model.name,
            "served_name": model.served_name,
            "backend": "openai" if is_served(model, backend) else backend.name,
            "price": price.to_dict() if isinstance(price, Price) else price,
            "not_repeatable": why_not_repeatable(model, backend),
        }
    return noted


def note(config: Config, adapter: Path | None, directory: Path) -> None:
    """Write the cell's roles.json anew: a price may have become known since."""
    write_whole(directory / ROLES, json.dumps(describe(config, adapter), indent=1) + "\n")


def identity(model: ModelSettings, backend: BackendSettings) -> dict[str, Any]:
    """Of a planner or judge of its own: everything that can change what it says."""
    weights = model.served_name
    if not is_served(model, backend):
        from agentx.tuning.base import weights_digest

        weights = weights_digest(model)
    options = {key: value for key, value in asdict(model).items() if key not in NOT_DECISIVE}
    return {
        "model": options,
        "weights": weights,
        "backend": "openai" if is_served(model, backend) else backend.name,
        "render": render_mode(model, backend),
    }


def open_roles(config: Config, adapter: Path | None, directory: Path) -> Roles:
    """The models, ready to be called; servers first, so that a missing key is told before weights are read."""
    given = assignments(config, adapter)
    prices = {
        role: price
        for role, assignment in given.items()
        if isinstance(price := price_for(assignment.model, assignment.backend, config.paths.prices), Price)
    }
    ledger = Ledger(directory / LEDGER, config.run_budget, prices)
    opened: list[tuple[Assignment, ChatModel]] = []
    for assignment in sorted(given.values(), key=lambda a: not is_served(a.model, a.backend)):
        if not any(known == assignment for known, _ in opened):
            opened.append((assignment, _open(config, assignment, ledger)))
    return Roles(**{role: next(m for known, m in opened if known == a) for role, a in given.items()})


def _open(config: Config, assignment: Assignment, ledger: Ledger) -> ChatModel:
    model: ChatModel = MeteredModel(open_model(assignment.model, assignment.backend, assignment.adapter), ledger)
    if config.cache.name == "off":
        return model
    folder = config.cache.directory or config.paths.output / "calls"
    cache = CallCache(folder / CACHE, writes=config.cache.name == "write")
    return CachedModel(model, cache, reply_identity(assignment.model, assignment.backend, assignment.adapter))
