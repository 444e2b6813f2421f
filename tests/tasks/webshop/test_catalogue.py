import json

import pytest

from agentx.tasks import record_stream
from agentx.tasks.environment import TaskDataError
from agentx.tasks.webshop import catalogue
from agentx.tasks.webshop.store import ProductStore, build_store, is_built

GOOD = {
    "asin": "B000000001",
    "name": "Red Lamp",
    "category": "garden",
    "query": "Lamps ",
    "product_category": "Home › Lamps",
    "full_description": "A lamp.",
    "small_description": ["bright", "red"],
    "pricing": "$5.00 - $7.50",
    "customization_options": {"Color": [{"value": " Red/Blue "}], "size": None},
}


def read(path, products, attributes=None):
    path.write_text(products if isinstance(products, str) else json.dumps(products), encoding="utf-8")
    return list(catalogue.read_products(path, attributes or {}, path.with_name("items_ins.json")))


def test_a_product_is_read_as_the_original_reads_it(tmp_path):
    (product,) = read(tmp_path / "items.json", [GOOD])
    assert product.query == "lamps"
    assert product.options == {"color": ["red | blue"]}
    assert (product.prices, product.price_tag) == ((5.0, 7.5), "$5.0 to $7.5")
    assert product.attributes == catalogue.NO_ATTRIBUTES
    assert product.document() == "red lamp a lamp. bright color: red | blue"


def test_products_without_a_usable_asin_are_left_out_and_the_first_of_equals_counts(tmp_path):
    records = [GOOD, {**GOOD, "name": "again"}, {**GOOD, "asin": "nan"}, {**GOOD, "asin": "B0000000012"}]
    assert [product.name for product in read(tmp_path / "items.json", records)] == ["Red Lamp"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": None}, "name"),
        ({"asin": 7}, "asin"),
        ({"full_description": None}, "full_description"),
        ({"small_description": []}, "small_description"),
        ({"small_description": [3]}, "small_description"),
        ({"pricing": "Currently unavailable"}, "pricing"),
        ({"pricing": "$1.2.3"}, "pricing"),
        ({"pricing": 5}, "pricing"),
        ({"customization_options": [1]}, "customization_options"),
        ({"customization_options": {"size": ["x"]}}, "customization_options.size"),
        ({"name": "x" * 10_000_000}, "name"),
    ],
)
def test_a_bad_field_is_named_with_file_and_record(tmp_path, change, field):
    path = tmp_path / "items.json"
    with pytest.raises(TaskDataError) as caught:
        read(path, [GOOD, {**GOOD, "asin": "B000000002", **change}])
    message = str(caught.value)
    assert "record 2" in message and field in message and str(path) in message
    assert "\n" not in message and len(message) < 400


@pytest.mark.parametrize("text", ['{"a": 1}', "", "[1, 2]", '[{"asin": ', "[" * 100_000, '[{"a": nope}]', "[1"])
def test_a_broken_file_is_one_line(tmp_path, text):
    with pytest.raises(TaskDataError) as caught:
        read(tmp_path / "items.json", text)
    assert "items.json" in str(caught.value) and "\n" not in str(caught.value)


def test_a_truncated_file_names_the_record_it_ends_in(tmp_path):
    text = json.dumps([GOOD, {**GOOD, "asin": "B2"}, {**GOOD, "asin": "B3"}])
    with pytest.raises(TaskDataError, match="record 3 is broken or cut off"):
        read(tmp_path / "items.json", text[:-20])


def test_records_longer_than_a_block_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(record_stream, "BLOCK", 64)
    records = [{**GOOD, "asin": f"B{number}"} for number in range(5)]
    assert [product.asin for product in read(tmp_path / "items.json", records)] == ["B0", "B1", "B2", "B3", "B4"]


def test_a_store_finds_its_products_and_a_broken_one_is_named(tmp_path):
    records = [
        {**GOOD, "asin": asin, "category": category} for asin, category in (("B2", "x"), ("A1", "y"), ("C", "x"))
    ]
    products = read(tmp_path / "items.json", records)
    folder = tmp_path / "store"
    build_store(folder, products)
    build_store(folder, products)  # another process may have been first
    store = ProductStore(folder)
    assert [store.number(name) for name in ("B2", "A1", "C", "A", "", "C\0", "x" * 50)] == [0, 1, 2, *[None] * 4]
    assert [store[number] for number in range(3)] == products
    assert store.listed("category", "x") == [0, 2]
    assert store.search("lamp", 2) == [1, 0]  # equal scores: by asin
    (folder / "documents.npy").unlink()
    with pytest.raises(TaskDataError, match="product store"):
        ProductStore(folder)


def test_an_unfinished_build_leaves_nothing(tmp_path):
    def products():
        yield read(tmp_path / "items.json", [GOOD])[0]
        raise TaskDataError("record 2")

    with pytest.raises(TaskDataError):
        build_store(tmp_path / "store", products())
    assert not is_built(tmp_path / "store")
    assert [path.name for path in tmp_path.iterdir()] == ["items.json"]
