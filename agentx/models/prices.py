"""What tokens cost: prices.yaml of this package, and the user's own file, which goes before it (`paths.prices`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import TypeAdapter, ValidationError

from agentx.errors import UserError
from agentx.models.addresses import is_local, server_urls
from agentx.models.settings import BackendSettings, ModelSettings

SHIPPED = Path(__file__).with_name("prices.yaml")
MILLION = 1_000_000


@dataclass(frozen=True)
class Price:
    """Per million tokens. `cached` is what prompt tokens cost that the server had in its cache; null: as others."""

    prompt: float
    completion: float
    cached: float | None = None
    currency: str = "USD"
    date: str = ""
    """when it was looked up"""
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("prompt", "completion", "cached"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be a number from 0")

    def cost(self, prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> float:
        cached = self.prompt if self.cached is None else self.cached
        fresh = max(0, prompt_tokens - cached_tokens)
        return (fresh * self.prompt + cached_tokens * cached + completion_tokens * self.completion) / MILLION

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@lru_cache(maxsize=8)
def load_prices(own: Path | None = None) -> dict[str, Price]:
    """Prices by the name a server knows a model by. Raises UserError for a file that is none."""
    prices = _read(SHIPPED)
    return {**prices, **_read(own)} if own is not None else prices


def _read(path: Path) -> dict[str, Price]:
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
        return TypeAdapter(dict[str, Price]).validate_python(table or {})
    except OSError as error:
        raise UserError(f"paths.prices={path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise UserError(f"paths.prices={path}: is not YAML ({' '.join(str(error).split())[:120]})") from error
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise UserError(
            f"paths.prices={path}: {where}: {problem['msg']}; an entry is `model: {{prompt: 1.0, completion: 2.0}}`, "
            "per million tokens"
        ) from error


def price_for(model: ModelSettings, backend: BackendSettings, own: Path | None) -> Price | Literal["own"] | None:
    """The model's price; "own" where it runs on one's own hardware and no token is paid for; None: not known."""
    if model.kind == "local" and (backend.name != "openai" or all(map(is_local, server_urls(model, backend)))):
        return "own"
    return load_prices(own).get(model.served_name)
