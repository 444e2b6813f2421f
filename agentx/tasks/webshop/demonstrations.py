"""Demonstrations of the WebShop task: the shopper in the generated catalogue's training split."""

from __future__ import annotations

import random
import tempfile
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from agentx.tasks.demonstration import Demonstration
from agentx.tasks.webshop.catalogue import Product
from agentx.tasks.webshop.engine import Session, Shop
from agentx.tasks.webshop.environment import WebShopEnvironment
from agentx.tasks.webshop.expert_model import ExpertModel
from agentx.tasks.webshop.generated import generate_goal, generate_products
from agentx.tasks.webshop.nouns import make_tagger
from agentx.tasks.webshop.prompts import opening
from agentx.tasks.webshop.settings import Settings
from agentx.tasks.webshop.store import PriceList, ProductStore, build_store

MISTAKES = 0.08
"""chance of a deliberate wrong turn, in half of the episodes; such turns are shown but not trained on"""
ROUNDS = 15
"""rounds a path has, whatever an evaluation allows: an expert needs about five"""


def relevant_settings(settings: Settings) -> dict[str, Any]:
    """What a demonstration depends on; the goals that are evaluated are not among it."""
    names = ("products", "observation", "rules", "prompt")
    return {name: getattr(settings, name) for name in names} | {"mistakes": MISTAKES, "rounds": ROUNDS}


def demonstrate(
    settings: Settings, *, index: int, seed: int, style: str, shots: int, weak_paths: int, contested: float
) -> Demonstration:
    """See `agentx.construction.demonstrations.Demonstrate`."""
    store, prices = _training_shop(settings.products, seed)
    rng = random.Random(f"{seed}/train/goal/{index}")
    number = rng.randrange(store.size)
    goal = generate_goal(store[number], prices[number], rng)
    nouns, _ = make_tagger()
    shop = Shop(store, prices, nouns, settings.rules)
    environment = WebShopEnvironment(
        shop, goal, str(index), replace(settings, source="generated", split="train", samples=1, max_rounds=ROUNDS)
    )

    def current() -> Session:
        if environment.session is None:
            raise RuntimeError("the episode was never started: call reset first")
        return environment.session

    expert = ExpertModel(
        current,
        goal,
        style,
        seed=rng.randrange(1 << 31),
        mistakes=MISTAKES if index % 2 else 0.0,
        weak_paths=weak_paths,
        contested=contested,
    )
    return Demonstration(
        id=f"train-{seed}-{index:05d}-{goal.asin}",
        environment=environment,
        expert=expert,
        opening=opening(style, shots, settings.prompt, settings.max_rounds),
        strayed=expert.strayed,
        kind=goal.category,
        background=_background(store[number], prices[number]),
    )


@lru_cache(maxsize=2)
def _training_shop(products: int, seed: int) -> tuple[ProductStore, PriceList]:
    """Its files are read while they are open and gone with the process."""
    with tempfile.TemporaryDirectory(prefix="agentx-webshop-") as scratch:
        folder = Path(scratch) / "store"
        build_store(folder, generate_products(products, seed, "train"))
        store = ProductStore(folder)
    return store, PriceList(store, random.Random(seed))


def _background(product: Product, price: float) -> str:
    """The product that the goal was made for, as its page shows it."""
    options = "; ".join(f"{name}: {', '.join(values)}" for name, values in product.options.items()) or "none"
    return (
        f"The shop sells {product.asin}, titled {product.name!r}, for {product.price_tag} (the customer pays "
        f"${price:.2f}). Its options are {options}. It says of itself: {product.description} "
        f"{' '.join(product.bullets)}"
    )
