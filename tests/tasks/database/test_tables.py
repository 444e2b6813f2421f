import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentx.tasks.database.tables import Table, digest_rows

CELL = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (Table("t", ("a", ""), ()), "blank"),
        (Table("t", ("a ",), ()), "ends in a space"),
        (Table(" ", ("a",), ()), "blank"),
        (Table("t", ("a", "A"), ()), "twice"),
        (Table("t", ("a", "b"), (("1", "2"), ("1",))), "row 2 has 1 values for 2 columns"),
        (Table("t", ("a" * 65,), ()), "longer"),
        (Table("t", (), ()), "no column"),
        (Table("t", ("a", "b"), (("1", None),)), ""),
    ],
)
def test_defects_are_named(table, reason):
    assert (reason in table.defect()) if reason else table.defect() == ""


def test_the_hash_of_a_known_table():
    pieces = sorted(hashlib.md5(text.encode()).hexdigest()[:5] for text in ("a", "b,1"))
    expected = hashlib.md5(",".join(pieces).encode()).hexdigest()
    assert digest_rows([("a", None), ("b", "1")]) == digest_rows([("b", "1"), (None, "a")]) == expected
    assert digest_rows([]) == ""
    assert digest_rows([("a", "1")]) != digest_rows([("a", "2")])


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(st.tuples(CELL, CELL), max_size=6))
def test_the_hash_is_the_one_the_server_computes(mariadb, rows):
    table = Table("t", ("a", "b %"), tuple(rows))
    database = mariadb.open(table, 5)
    try:
        assert database.digest() == digest_rows(rows)
    finally:
        database.close()


def test_the_hash_sees_what_mysql_sees_of_long_tables(mariadb):
    table = Table("t", ("a",), tuple((str(number),) for number in range(400)))
    database = mariadb.open(table, 5)
    assert database.digest() == digest_rows(table.rows)
    database.close()
