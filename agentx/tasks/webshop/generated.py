"""A catalogue and goals made here: nothing to download, and any size for benchmarks."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from agentx.tasks.webshop.catalogue import Product
from agentx.tasks.webshop.goals import price_limit
from agentx.tasks.webshop.reward import Goal

_SPREAD = 48_271_169
"""has no divisor in common with 36, so that different numbers stay different"""
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def sources() -> tuple[str, str]:
    """What the products depend on besides the arguments: this module and its material."""
    return Path(__file__).read_text(encoding="utf-8"), _text()


def _text() -> str:
    return resources.files(__package__).joinpath("generated.yaml").read_text(encoding="utf-8")


@cache
def _material() -> dict[str, Any]:
    return yaml.safe_load(_text())


def generate_products(count: int, seed: int, split: str) -> Iterator[Product]:
    """`count` products over five categories; the same arguments give the same ones.

    Train and test products have different brands and identifiers.
    """
    rng = random.Random(f"{seed}/{split}/catalogue")
    material = _material()
    types = list(material["types"])
    for number in range(count):
        name = types[number % len(types)]
        kind = material["types"][name]
        attributes = rng.sample(kind["attributes"], rng.randint(2, 3))
        brand, style = rng.choice(material["brands"][split]), rng.choice(material["styles"])
        listed = ", ".join(attributes)
        low = round(rng.uniform(*kind["prices"]), 2)
        prices = (low, round(low * rng.uniform(1.1, 1.5), 2)) if rng.random() < 0.15 else (low,)
        options = {
            option: sorted(rng.sample(values, rng.randint(max(1, len(values) - 1), len(values))), key=values.index)
            for option, values in kind["options"].items()
        }
        yield Product(
            asin=_asin(number, split, rng),
            name=f"{brand} {style} {name.title()}, {listed.title()}",
            category=kind["category"],
            query=name,
            product_category=kind["path"],
            description=f"A {name} by {brand} for every day.",
            bullets=(f"This {name} is {listed}.", f"Made by {brand}."),
            prices=prices,
            price_tag=" to ".join(f"${price}" for price in prices),
            options=options,
            attributes=tuple(attributes),
        )


def _asin(number: int, split: str, rng: random.Random) -> str:
    """B, five digits in base 36 that make it unique, one letter for the split, three digits at random. Like real ones,
    those of one catalogue do not begin alike."""
    digits, spread = "", number * _SPREAD % len(_LETTERS) ** 5
    for _ in range(5):
        spread, digit = divmod(spread, len(_LETTERS))
        digits += _LETTERS[digit]
    return f"B{digits}{split[1].upper()}{''.join(rng.choices(_LETTERS, k=3))}"


def generate_goal(product: Product, price: float, rng: random.Random) -> Goal:
    """A goal that `product`, sold at `price`, fulfils: one or two of its attributes, a value of each option."""
    wanted = rng.sample(product.attributes, min(len(product.attributes), rng.randint(1, 2)))
    chosen = {name: rng.choice(values) for name, values in product.options.items()}
    upper, price_text = price_limit(price, rng)
    options = " and ".join(f"{name} {value}" for name, value in chosen.items())
    template = rng.choice(_material()["instructions"])
    instruction = template.format(
        type=product.query, attributes=" and ".join(wanted), options=f", in {options}" if options else ""
    )
    return Goal(
        product.asin,
        product.category,
        product.query,
        product.name,
        product.product_category,
        instruction + price_text,
        tuple(wanted),
        tuple(chosen.values()),
        upper,
    )
