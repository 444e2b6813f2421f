"""Goals: who wants what. Price limits come from a seeded generator, so that they are the same on every start."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agentx.tasks.environment import TaskDataError
from agentx.tasks.webshop.catalogue import Product
from agentx.tasks.webshop.reward import Goal
from agentx.tasks.webshop.store import PriceList, ProductStore

NO_LIMIT = 1_000_000.0
_ROUND_PRICES = [10.0 * step for step in range(1, 100)]
_SHUFFLE_SEED = 233


def human_goals(store: ProductStore, prices: PriceList, instructions: Mapping[str, Any], path: Path) -> list[Goal]:
    """The goals of items_human_ins.json, in the order the benchmark numbers them.

    Raises TaskDataError naming file, product and field.
    """
    goals = []
    for number, asin in _in_catalogue(store, instructions):
        product = store[number]
        for record in _records(instructions[asin], path, asin):
            where = f"{path}: {asin}"
            attributes = _strings(record, "instruction_attributes", where)
            if not attributes:
                continue
            upper, text = price_limit(prices[number], prices.rng)
            instruction = record.get("instruction")
            if not isinstance(instruction, str):
                raise TaskDataError(f"{where}: instruction is missing or no text")
            options = _strings(record, "instruction_options", where)
            goals.append(_goal(product, instruction.strip(".") + text, attributes, options, upper))
    return _shuffled(goals)


def synthetic_goals(store: ProductStore, prices: PriceList, attributes: Mapping[str, Any], path: Path) -> list[Goal]:
    """One goal for each combination of option values of each product that items_ins_v2*.json has an instruction for."""
    goals = []
    for number, asin in _in_catalogue(store, attributes):
        record = attributes[asin]
        instruction = record.get("instruction") if isinstance(record, dict) else None
        if instruction is None:
            continue
        wanted = _strings(record, "instruction_attributes", f"{path}: {asin}")
        if not wanted or not isinstance(instruction, str):
            raise TaskDataError(f"{path}: {asin}: an instruction needs a text and instruction_attributes")
        product = store[number]
        upper, price_text = price_limit(prices[number], prices.rng)
        names = sorted(product.options)
        for values in itertools.product(*(product.options[name] for name in names)):
            chosen = list(zip(names, values, strict=True))
            text = ", and ".join(f"{name}: {value}" for name, value in chosen)
            text = f"{instruction}{' with ' + text if text else ''}{price_text}"
            # The original compares the bought value with name and value together, unless the value is a colour.
            goals.append(_goal(product, text, wanted, [f"{name} {value}" for name, value in chosen], upper))
    return _shuffled(goals)


def _in_catalogue(store: ProductStore, by_asin: Mapping[str, Any]) -> list[tuple[int, str]]:
    found = [(number, asin) for asin in by_asin if (number := store.number(asin)) is not None]
    return sorted(found)


def _records(given: Any, path: Path, asin: str) -> Iterator[Mapping[str, Any]]:
    if not isinstance(given, list):
        raise TaskDataError(f"{path}: {asin}: not a list of instructions")
    for record in given:
        if not isinstance(record, dict):
            raise TaskDataError(f"{path}: {asin}: an instruction is no JSON object")
        yield record


def _strings(record: Mapping[str, Any], field: str, where: str) -> list[str]:
    value = record.get(field)
    if not isinstance(value, list) or not all(isinstance(item, str) and len(item) <= 2_000 for item in value):
        raise TaskDataError(f"{where}: {field} must be a list of short texts")
    return value


def _goal(product: Product, instruction: str, attributes: list[str], options: list[str], upper: float) -> Goal:
    return Goal(
        product.asin,
        product.category,
        product.query,
        product.name,
        product.product_category,
        instruction,
        tuple(attributes),
        tuple(options),
        upper,
    )


def price_limit(price: float, rng: random.Random) -> tuple[float, str]:
    """A limit above the price, or NO_LIMIT where the price is too high for one, and how an instruction says it."""
    above = [limit for limit in _ROUND_PRICES if limit > price][:4]
    if len(above) < 2:
        return NO_LIMIT, ""
    upper = max(rng.sample(above, 2))
    return upper, f", and price lower than {upper:.2f} dollars"


def _shuffled(goals: list[Goal]) -> list[Goal]:
    random.Random(_SHUFFLE_SEED).shuffle(goals)
    return goals
