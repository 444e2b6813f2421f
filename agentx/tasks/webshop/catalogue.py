"""Products, and the reading of WebShop's official data files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentx.tasks.environment import TaskDataError
from agentx.tasks.record_stream import stream_list

NO_ATTRIBUTES = ("DUMMY_ATTR",)
"""what the benchmark gives products without attributes"""
LIMITS = {"name": 10_000, "value": 2_000, "text": 1_000_000}
"""longest title, option value and other text in characters; what is longer is refused as broken"""


@dataclass(frozen=True, slots=True)
class Product:
    """What the shop knows of a product. `prices` holds one price, or the two ends of a range, in dollars."""

    asin: str
    name: str
    category: str
    query: str
    product_category: str
    description: str
    bullets: tuple[str, ...]
    prices: tuple[float, ...]
    price_tag: str
    options: dict[str, list[str]]
    attributes: tuple[str, ...]

    def document(self) -> str:
        """The text that is indexed for the search."""
        options = ", and ".join(f"{name}: {', '.join(values)}" for name, values in self.options.items())
        return " ".join([self.name, self.description, self.bullets[0], options]).lower()


def read_mapping(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises TaskDataError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TaskDataError(f"{path}: unreadable or not JSON ({error})") from error
    if not isinstance(found, dict):
        raise TaskDataError(f"{path}: not a JSON object of products by asin")
    return found


def read_products(path: Path, attributes: Mapping[str, Any], attributes_path: Path) -> Iterator[Product]:
    """The products of items_shuffle*.json in file order; `attributes` is items_ins_v2*.json.

    Left out, as in the original: asin `nan`, an asin of more than ten characters, an asin met before.
    """
    seen: set[str] = set()
    for number, record in stream_list(path, "products"):
        where = f"{path}: record {number}"
        if not isinstance(record, dict):
            raise TaskDataError(f"{where} is no JSON object")
        asin = _text(record, "asin", where, "value")
        if asin == "nan" or len(asin) > 10 or asin in seen:
            continue
        seen.add(asin)
        of_product = attributes.get(asin) or {}
        listed = of_product.get("attributes", NO_ATTRIBUTES) if isinstance(of_product, dict) else None
        if not isinstance(listed, list | tuple) or not all(isinstance(name, str) for name in listed):
            raise TaskDataError(f"{attributes_path}: {asin}: attributes must be a list of strings")
        yield parse_product(record, tuple(listed), where)


def parse_product(record: Mapping[str, Any], attributes: tuple[str, ...], where: str) -> Product:
    """A product from a record of the official format. Raises TaskDataError naming record and field."""
    bullets = record.get("small_description")
    bullets = bullets if isinstance(bullets, list) else [bullets]
    if not bullets or not all(isinstance(bullet, str) for bullet in bullets):
        raise TaskDataError(f"{where}: small_description must be a text or a list of texts, not empty")
    if sum(map(len, bullets)) > LIMITS["text"]:
        raise TaskDataError(f"{where}: small_description is longer than {LIMITS['text']:,} characters")
    prices, tag = _prices(record.get("pricing"), where)
    return Product(
        asin=_text(record, "asin", where, "value"),
        name=_text(record, "name", where, "name"),
        category=_text(record, "category", where, "value"),
        query=_text(record, "query", where, "value").lower().strip(),
        product_category=_text(record, "product_category", where, "value"),
        description=_text(record, "full_description", where, "text"),
        bullets=tuple(bullets),
        prices=prices,
        price_tag=tag,
        options=_options(record.get("customization_options"), where),
        attributes=attributes,
    )


def _text(record: Mapping[str, Any], field: str, where: str, limit: str) -> str:
    value = record.get(field)
    if not isinstance(value, str):
        raise TaskDataError(f"{where}: {field} is {'missing' if field not in record else 'no text'}")
    if len(value) > LIMITS[limit]:
        raise TaskDataError(f"{where}: {field} has {len(value):,} characters, more than {LIMITS[limit]:,}")
    return value


def _prices(pricing: Any, where: str) -> tuple[tuple[float, ...], str]:
    if not pricing:
        return (100.0,), "$100.0"
    if not isinstance(pricing, str) or len(pricing) > LIMITS["value"]:
        raise TaskDataError(f"{where}: pricing must be a text such as $9.99 or $5.00 - $7.50")
    try:
        prices = [float(re.sub(r"[^\d.]", "", part)) for part in pricing.split("$")[1:3]]
    except ValueError as error:
        raise TaskDataError(f"{where}: pricing={pricing[:60]!r} holds no price") from error
    if not prices:
        raise TaskDataError(f"{where}: pricing={pricing[:60]!r} holds no price")
    return tuple(prices), " to ".join(f"${price}" for price in prices)


def _options(given: Any, where: str) -> dict[str, list[str]]:
    if not given:
        return {}
    if not isinstance(given, dict):
        raise TaskDataError(f"{where}: customization_options must be an object or empty")
    options: dict[str, list[str]] = {}
    for name, contents in given.items():
        if contents is None:
            continue
        values = []
        for content in contents if isinstance(contents, list) else [None]:
            value = content.get("value") if isinstance(content, dict) else None
            if not isinstance(value, str) or len(value) > LIMITS["value"]:
                raise TaskDataError(f"{where}: customization_options.{name[:60]}: a value is no text or too long")
            values.append(value.strip().replace("/", " | ").lower())
        options[name.lower()] = values
    return options
