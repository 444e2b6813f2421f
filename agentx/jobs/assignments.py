"""Which model and back end plays which role: policy, planner and judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from agentx.errors import ConfigError
from agentx.models.prices import Price, price_for
from agentx.models.settings import BackendSettings, ModelSettings

if TYPE_CHECKING:
    from agentx.config import Config

OTHERS = ("planner", "judge")


@dataclass
class Assignment:
    """One role's model. Roles with equal assignments share one."""

    model: ModelSettings
    backend: BackendSettings
    adapter: Path | None = None


def assignments(config: Config, adapter: Path | None = None) -> dict[str, Assignment]:
    """Who plays which role. `adapter` is the tuned one: it is the policy's, and others' only where they are the
    policy."""
    policy = Assignment(config.model, config.backend)
    if adapter is not None:
        from agentx.tuning.adapters import served

        model, lora = served(config.model, adapter)
        policy = Assignment(model, config.backend, lora)
    given = {"policy": policy}
    for role in OTHERS:
        model, backend = getattr(config, role), getattr(config, f"{role}_backend")
        given[role] = policy if model is None else Assignment(model, backend or backend_for(model, config.backend))
    return given


def backend_for(model: ModelSettings, policy: BackendSettings) -> BackendSettings:
    """The back end of a role that names none: a model with an address of its own, or an API's, is reached there; any
    other is generated where the policy is."""
    if model.kind != "api" and model.base_url is None:
        return policy
    if policy.name == "openai":
        return replace(policy, base_url=None, api_key_env=None)
    return BackendSettings(name="openai")


def own_models(config: Config) -> dict[str, tuple[ModelSettings, BackendSettings]]:
    """The roles that have a model of their own."""
    given = assignments(config)
    return {role: (given[role].model, given[role].backend) for role in OTHERS if getattr(config, role) is not None}


def active(config: Config) -> list[str]:
    """The roles that the method asks."""
    method = config.method
    return ["policy"] + ["planner"] * method.has_planner + ["judge"] * method.has_judge


def check(config: Config) -> None:
    """Raises ConfigError for a role that the method does not have, a back end without its role, and a limit on costs
    that cannot be known."""
    method = config.method
    for role, used, instead in (
        ("planner", method.has_planner, "method=decompose or ours"),
        ("judge", method.has_judge, "method=branch, backtrack, tot or ours"),
    ):
        model, backend = getattr(config, role), getattr(config, f"{role}_backend")
        if model is None and backend is not None:
            raise ConfigError(f"{role}_backend={backend.name}: there is no {role} of its own; name one with {role}=")
        if model is None:
            continue
        if not used:
            raise ConfigError(
                f"{role}={model.name}: method={method.name} as it is set never asks a {role}; leave it out, or use "
                f"{instead}"
            )
        if model.kind == "expert":
            raise ConfigError(f"{role}={model.name}: is a task's scripted player; choose a model")
    given = assignments(config)
    check_prices(config, {role: (given[role].model, given[role].backend) for role in active(config)})


def check_prices(config: Config, roles: Mapping[str, tuple[ModelSettings, BackendSettings]]) -> None:
    """Raises ConfigError where run_budget.max_cost limits costs that cannot be known, or that there are none of."""
    if config.run_budget.max_cost is None:
        return
    option = f"run_budget.max_cost={config.run_budget.max_cost:g}"
    currencies = set()
    for role, (model, backend) in roles.items():
        price = price_for(model, backend, config.paths.prices)
        if price is None:
            raise ConfigError(
                f"{option}: the price of {model.served_name} ({role}) is not known; put it into a file, name that as "
                "paths.prices, or limit run_budget.max_tokens instead"
            )
        currencies |= {price.currency} if isinstance(price, Price) else set()
    if not currencies:
        raise ConfigError(f"{option}: no token of this run is paid for; use run_budget.max_tokens or max_calls")
    if len(currencies) > 1:
        raise ConfigError(
            f"{option}: prices are in {' and '.join(sorted(currencies))}; give them in one currency (paths.prices)"
        )
