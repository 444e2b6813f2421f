"""The shop's products and their search index on disk; a process maps what it touches and no more."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentx.tasks.environment import TaskDataError
from agentx.tasks.webshop.analysis import analyze
from agentx.tasks.webshop.catalogue import Product
from agentx.tasks.webshop.ranking import Index, IndexWriter, mapped

FORMAT = 1
"""of the folder; another one is built anew"""
_RECORD = "store.json"
_FIELDS = tuple(field.name for field in fields(Product))


def is_built(folder: Path) -> bool:
    """Whether `folder` holds a finished store of this format."""
    try:
        return json.loads((folder / _RECORD).read_text(encoding="utf-8")).get("format") == FORMAT
    except (OSError, ValueError, AttributeError):
        return False


def build_store(folder: Path, products: Iterable[Product]) -> None:
    """Write store and index to `folder`, all or nothing: processes that build the same one at once do no harm."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
    try:
        _write(scratch, products)
        os.chmod(scratch, 0o755)
        try:
            if folder.exists() and not is_built(folder):
                shutil.rmtree(folder)
            os.rename(scratch, folder)
        except OSError:
            if not is_built(folder):
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write(folder: Path, products: Iterable[Product]) -> None:
    index = IndexWriter(folder)
    asins: list[bytes] = []
    offsets = [0]
    prices: list[tuple[float, float]] = []
    labels: dict[str, dict[str, int]] = {"category": {}, "query": {}}
    codes: dict[str, list[int]] = {"category": [], "query": []}
    with (folder / "products.jsonl").open("wb") as file:
        for product in products:
            record = {name: getattr(product, name) for name in _FIELDS}
            line = json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass")
            file.write(line)
            offsets.append(offsets[-1] + len(line))
            asins.append(product.asin.encode("utf-8", "surrogatepass"))
            prices.append((product.prices[0], product.prices[1] if len(product.prices) > 1 else np.nan))
            for field, seen in labels.items():
                codes[field].append(seen.setdefault(getattr(product, field), len(seen)))
            index.add(product.document())
    if not asins:
        raise TaskDataError("the catalogue holds no product")
    index.finish()
    names = np.array(asins)
    order = np.argsort(names, kind="stable").astype(np.int32)
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    np.save(folder / "offsets.npy", np.array(offsets, np.int64))
    np.save(folder / "asins.npy", names[order])
    np.save(folder / "asin_order.npy", order)
    np.save(folder / "rank.npy", rank)
    np.save(folder / "prices.npy", np.array(prices, np.float64))
    for field, of_products in codes.items():
        np.save(folder / f"{field}.npy", np.array(of_products, np.int32))
    header = {"format": FORMAT, "products": len(asins), "labels": {name: list(seen) for name, seen in labels.items()}}
    (folder / _RECORD).write_text(json.dumps(header), encoding="utf-8")


class ProductStore:
    """A built store, opened read-only. Products have numbers in the catalogue's order, from 0."""

    def __init__(self, folder: Path) -> None:
        try:
            record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
            self.size = int(record["products"])
            self._labels: dict[str, list[str]] = record["labels"]
            self._file = (folder / "products.jsonl").open("rb")
            self._offsets = mapped(folder / "offsets.npy")
            self._asins = mapped(folder / "asins.npy")
            self._asin_order = mapped(folder / "asin_order.npy")
            self._codes = {name: mapped(folder / f"{name}.npy") for name in self._labels}
            self.prices: NDArray[np.float64] = mapped(folder / "prices.npy")
            self.index = Index(folder, mapped(folder / "rank.npy"))
        except (OSError, ValueError, KeyError) as error:
            raise TaskDataError(f"{folder}: not a readable product store; delete it to have it built again") from error
        self._read = lru_cache(maxsize=256)(self._load)

    def __getitem__(self, number: int) -> Product:
        return self._read(number)

    def _load(self, number: int) -> Product:
        start, end = int(self._offsets[number]), int(self._offsets[number + 1])
        record: dict[str, Any] = json.loads(os.pread(self._file.fileno(), end - start, start))
        for name in ("bullets", "prices", "attributes"):
            record[name] = tuple(record[name])
        return Product(**record)

    def number(self, asin: str) -> int | None:
        """A product's number, None where there is none of that asin."""
        name = asin.encode("utf-8", "surrogatepass")
        if len(name) > self._asins.dtype.itemsize or name.endswith(b"\0"):
            return None
        place = int(np.searchsorted(self._asins, np.array(name, self._asins.dtype)))
        return int(self._asin_order[place]) if place < self.size and self._asins[place] == name else None

    def search(self, words: str, most: int) -> list[int]:
        return [number for number, _ in self.index.search(analyze(words), most)]

    def listed(self, field: str, value: str) -> list[int]:
        """The products whose `field` (category or query) is exactly `value`, in the catalogue's order."""
        labels = self._labels[field]
        if value not in labels:
            return []
        return np.flatnonzero(self._codes[field] == labels.index(value)).tolist()

    def close(self) -> None:
        self._file.close()


class PriceList:
    """What each product is sold at: its price, or a uniform draw from its range.

    As in the original the draws come one after another in the catalogue's order, here from a generator with a seed.
    After construction `rng` stands where the goals' price limits are drawn from.
    """

    def __init__(self, store: ProductStore, rng: random.Random) -> None:
        self._store = store
        self.rng = rng
        low, high = store.prices[:, 0], store.prices[:, 1]
        ranged = np.flatnonzero(~np.isnan(high))
        self._ranged = ranged
        self._drawn = np.array([rng.uniform(float(low[n]), float(high[n])) for n in ranged], np.float64)

    def __getitem__(self, number: int) -> float:
        place = int(np.searchsorted(self._ranged, number))
        if place < len(self._ranged) and self._ranged[place] == number:
            return float(self._drawn[place])
        return float(self._store.prices[number, 0])
