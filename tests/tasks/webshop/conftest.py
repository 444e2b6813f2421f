import json
import os
from pathlib import Path

import pytest

from agentx.tasks.webshop import catalogue, store
from agentx.tasks.webshop.reward import Goal

DATA = Path(os.environ.get("AGENTX_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))


@pytest.fixture(scope="session")
def recorded() -> Path:
    """Runs of the original engine, recorded."""
    folder = DATA / "conformance" / "webshop"
    if not folder.is_dir():
        pytest.skip(f"no recorded WebShop runs at {folder}")
    return folder


@pytest.fixture(scope="session")
def recorded_store(recorded, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop") / "store"
    attributes = catalogue.read_mapping(recorded / "items_ins_v2.json")
    products = catalogue.read_products(recorded / "items_shuffle.json", attributes, recorded / "items_ins_v2.json")
    store.build_store(folder, products)
    return store.ProductStore(folder)


@pytest.fixture(scope="session")
def recorded_nouns(recorded):
    return {title: tuple(nouns) for title, nouns in read(recorded / "nouns.json")["nouns"].items()}


@pytest.fixture(scope="session")
def recorded_goals(recorded):
    return [
        Goal(
            goal["asin"],
            goal["category"],
            goal["query"],
            goal["name"],
            goal["product_category"],
            goal["instruction_text"],
            tuple(goal["attributes"]),
            tuple(goal["goal_options"]),
            goal["price_upper"],
        )
        for goal in read(recorded / "goals.json")["goals"]
    ]


@pytest.fixture(scope="session")
def recorded_prices(recorded, recorded_store):
    return {recorded_store.number(asin): price for asin, price in read(recorded / "goals.json")["prices"].items()}


def read(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))
