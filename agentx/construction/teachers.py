"""Who plays the roles: models opened once, metered, and never asked twice for an answer that was paid."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from agentx.construction.asking import Role
from agentx.construction.record import Cost
from agentx.construction.settings import ConstructSettings
from agentx.construction.workshops import Workshop
from agentx.errors import ConfigError
from agentx.models.cache import CachedModel, CallCache
from agentx.models.chat import ChatModel, Sampling
from agentx.models.prices import Price, price_for
from agentx.models.settings import BackendSettings, ModelSettings, RunBudgetSettings
from agentx.models.spending import LEDGER, Ledger, MeteredModel

ANSWERS = "answers.sqlite"
"""the paid answers of a run, in its directory: the same command asks for none of them again"""


class Teachers:
    """The models of one run by role, and its account in `directory`; close it at the end.

    `prices` is the user's own file of prices. A role's price is "own" where nothing is paid by the token, None where it
    is not known.
    """

    def __init__(
        self,
        models: Mapping[str, ModelSettings],
        backend: BackendSettings,
        prices: Path | None,
        limits: RunBudgetSettings,
        directory: Path,
    ) -> None:
        self.models = dict(models)
        self.prices = {role: teacher_price(model, backend, prices) for role, model in models.items()}
        self._backend, self._directory = backend, directory
        known = {role: price for role, price in self.prices.items() if isinstance(price, Price)}
        self._ledger = Ledger(directory / LEDGER, limits, known)
        self._opened: list[tuple[ModelSettings, ChatModel]] = []

    def roles(self, workshop: Workshop, index: int, settings: ConstructSettings) -> dict[str, Role]:
        """Who plays in trajectory `index`. The scripted teacher is made for each, and is not in the account.

        Raises UserError where a model cannot be opened.
        """
        scripted = workshop.scripted(index)
        roles = {}
        for role, prompt in workshop.roles.items():
            longest = settings.trajectory_tokens if role == "writer" else settings.max_tokens
            sampling = Sampling(settings.temperature, settings.top_p, longest)
            model = scripted if self.models[role].kind == "expert" else self.open(role)
            roles[role] = Role(role, model, prompt, sampling, self.prices[role])
        return roles

    def paid(self) -> Cost:
        """What all calls cost, those of earlier starts and of unfinished trajectories included."""
        self._ledger.refresh()
        return Cost.total(Cost.of(spent, self.prices.get(role)) for role, spent in self._ledger.by_role.items())

    async def close(self) -> None:
        for _, model in self._opened:
            await model.close()
        self._ledger.close()

    def open(self, role: str) -> ChatModel:
        """The role's model; roles with the same one share it. Raises UserError where it cannot be opened."""
        settings = self.models[role]
        for known, model in self._opened:
            if known == settings:
                return model
        from agentx.models.identity import reply_identity
        from agentx.models.loading import open_model

        metered = MeteredModel(open_model(settings, self._backend), self._ledger)
        identity = reply_identity(settings, self._backend, None)
        opened = CachedModel(metered, CallCache(self._directory / ANSWERS), identity, keep_empty=False)
        self._opened.append((settings, opened))
        return opened


def teacher_price(model: ModelSettings, backend: BackendSettings, own: Path | None) -> Price | Literal["own"] | None:
    """`price_for`, where a scripted teacher costs nothing either."""
    return "own" if model.kind == "expert" else price_for(model, backend, own)


def currency_of(prices: Mapping[str, Price | Literal["own"] | None]) -> str:
    """The currency of the prices; empty where nothing is paid. Raises ConfigError where they have several."""
    found = sorted({price.currency for price in prices.values() if isinstance(price, Price)})
    if len(found) > 1:
        raise ConfigError(f"paths.prices: the roles' prices are in {' and '.join(found)}; give them in one currency")
    return found[0] if found else ""
