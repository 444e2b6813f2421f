"""Hostile and clumsy statements: each ends in a reply within the time limit, and changes nothing but its own database.

They aim at canaries only: a neighbouring episode's table and a file of the test's own.
"""

import time

import pytest

from agentx.tasks.database.engines import LONGEST_REPLY
from agentx.tasks.database.tables import Table, digest_rows

SECONDS = 1.0
MARGIN = 4.0
"""a stopped statement may take a moment to be undone, and the machine may be busy"""

ENDLESS = "WITH RECURSIVE c AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM c WHERE n < 1000000000) "
MANY = ", ".join(f"`Some Things` t{number}" for number in range(9))
STATEMENTS = {
    "endless recursion": ENDLESS + "SELECT COUNT(*) FROM c",
    "cross join of 12^9 rows": f"SELECT * FROM {MANY}",
    "cross join counted": f"SELECT COUNT(*) FROM {MANY} WHERE t0.Size + t1.Size + t2.Size > 1",
    "cross join sorted": f"SELECT t0.Name FROM {MANY} ORDER BY t8.Name, t7.Size, t6.Name",
    "cross join stored": f"CREATE TABLE big AS SELECT t0.Name AS a, t1.Name AS b FROM {MANY}",
    "sleep": "SELECT SLEEP(1000)",
    "benchmark": "SELECT BENCHMARK(1000000000, MD5('x'))",
    "long value": "SELECT REPEAT('x', 900000000)",
    "many long values": "SELECT GROUP_CONCAT(a.Name, b.Name) FROM `Some Things` a, `Some Things` b, `Some Things` c",
    "regular expression": "SELECT REPEAT('a', 5000) REGEXP '^(a+)+$b'",
    "drop the server's tables": "DROP DATABASE mysql",
    "drop a neighbour": "DROP DATABASE {neighbour}",
    "read a neighbour": "SELECT * FROM {neighbour}.`Some Things`",
    "write a neighbour": "DELETE FROM {neighbour}.`Some Things`",
    "use a neighbour": "USE {neighbour}",
    "create elsewhere": "CREATE DATABASE agentx_elsewhere",
    "attach a file": "ATTACH DATABASE '{canary}' AS other",
    "vacuum into a file": "VACUUM INTO '{canary}.copy'",
    "pragma": "PRAGMA writable_schema = 1",
    "load an extension": "SELECT load_extension('{canary}')",
    "into outfile": "SELECT 'x' INTO OUTFILE '{canary}.out'",
    "into dumpfile": "SELECT 'x' INTO DUMPFILE '{canary}.out'",
    "load data": "LOAD DATA INFILE '{canary}' INTO TABLE `Some Things`",
    "load local data": "LOAD DATA LOCAL INFILE '{canary}' INTO TABLE `Some Things`",
    "load a file": "SELECT LOAD_FILE('{canary}')",
    "two statements": "SELECT 1; DROP TABLE `Some Things`",
    "global setting": "SET GLOBAL max_connections = 1",
    "own time limit off": "SET SESSION max_statement_time = 0",
    "own password": "SET PASSWORD = PASSWORD('locked out')",
    "create a user": "CREATE USER intruder IDENTIFIED BY 'x'",
    "grant": "GRANT ALL PRIVILEGES ON *.* TO CURRENT_USER",
    "kill": "KILL 1",
    "kill itself": "KILL CONNECTION_ID()",
    "shut down": "SHUTDOWN",
    "flush": "FLUSH TABLES WITH READ LOCK",
    "install a plugin": "INSTALL SONAME 'ha_connect'",
    "lock": "LOCK TABLES `Some Things` WRITE",
    "distributed transaction": "XA START 'x'",
    "procedure": "CALL mysql.nothing()",
    "trigger": "CREATE TRIGGER t BEFORE INSERT ON `Some Things` FOR EACH ROW SET NEW.Name = 'x'",
    "other engine": "CREATE TABLE f (a TEXT) ENGINE=CSV",
    "ten megabytes": "SELECT '" + "x" * 10_000_000 + "'",
    "deep brackets": "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "deep negations": "SELECT " + "NOT " * 4000 + "1",
    "deep subqueries": "SELECT * FROM " + "(SELECT * FROM " * 1000 + "`Some Things`" + ") x" * 1000,
    "many columns": "SELECT " + "1," * 8000 + "1",
    "open comment": "SELECT 1 /* " + "x" * 5000,
    "open string": "SELECT 'never closed",
    "lone surrogate": "SELECT '\ud800'",
    "null byte": "SELECT '\x00'",
    "only a null byte": "\x00",
    "invalid bytes": "SELECT X'FFFEFD'",
    "text of invalid bytes": "SELECT CAST(X'FFFEFD' AS CHAR)",
    "other scripts": "SELECT 'ça 漢字 🙂 ‮x'",
    "nothing": "   ",
    "only a semicolon": ";",
    "only a comment": "-- SELECT 1",
    "percent signs": "SELECT '%s %d %(x)s'",
    "braces": "SELECT {x} FROM {0}",
}


@pytest.fixture
def neighbours(engine, table):
    first, second = engine.open(table, SECONDS), engine.open(table, SECONDS)
    yield first, second
    first.close()
    second.close()


@pytest.mark.parametrize("name", STATEMENTS)
def test_one_hostile_statement(engine, neighbours, table, tmp_path, name):
    canary = tmp_path / "canary"
    canary.write_text("secret")
    attacker, neighbour = neighbours
    statement = STATEMENTS[name].replace("{neighbour}", getattr(neighbour, "_name", "neighbour"))
    started = time.monotonic()
    reply = attacker.execute(statement.replace("{canary}", str(canary)))
    assert time.monotonic() - started < SECONDS + MARGIN
    assert 0 < len(reply.text) <= LONGEST_REPLY + len("[TRUNCATED]")
    assert "secret" not in reply.text
    assert canary.read_text() == "secret" and [path.name for path in tmp_path.iterdir()] == ["canary"]
    assert neighbour.digest() == digest_rows(table.rows)
    assert neighbour.execute("SELECT COUNT(*) FROM `Some Things`").text == "[(12,)]"
    # Nothing of this list may have changed the attacker's own table either, or locked it out.
    assert attacker.digest() == digest_rows(table.rows)
    assert attacker.execute("SELECT COUNT(*) FROM `Some Things`").text == "[(12,)]"


def test_a_statement_over_the_limit_is_answered_as_such(engine, neighbours):
    reply = neighbours[0].execute(STATEMENTS["cross join counted"])
    assert reply.text.startswith("3024 (HY000): Query execution was interrupted")


def test_switching_the_time_limit_off_does_not_help(engine, neighbours):
    attacker, _ = neighbours
    attacker.execute("SET SESSION max_statement_time = 0")
    started = time.monotonic()
    assert attacker.execute(STATEMENTS["cross join counted"]).error == 3024
    assert time.monotonic() - started < SECONDS + MARGIN
    assert attacker.execute("SELECT 1").text == "[(1,)]"


def test_a_changed_password_locks_no_later_episode_out(mariadb, table):
    first = mariadb.open(table, SECONDS)
    assert not first.execute("SET PASSWORD = PASSWORD('mine')").error
    first.close()
    second = mariadb.open(table, SECONDS)
    assert second.execute("SELECT 1").text == "[(1,)]"
    second.close()


def test_an_episode_without_its_table_or_database_goes_on(engine, table):
    database = engine.open(table, SECONDS)
    assert database.execute("DROP TABLE `Some Things`").text == "[]"
    assert database.digest() == ""
    assert database.execute("SELECT * FROM `Some Things`").error == 1146
    dropped = database.execute(f"DROP DATABASE {getattr(database, '_name', 'anything')}")
    assert database.digest() == ""
    assert dropped.text and database.execute("SELECT 1").text == "[(1,)]"
    database.close()


def test_nothing_is_left_on_the_server_after_an_episode(mariadb, table):
    before = mariadb.run("SHOW DATABASES")
    database = mariadb.open(table, SECONDS)
    database.execute("CREATE DATABASE " + database._name + "_more")
    assert len(mariadb.run("SHOW DATABASES")) == len(before) + 2
    database.close()
    assert mariadb.run("SHOW DATABASES") == before


def test_text_compares_with_numbers_as_numbers_and_without_case(engine):
    rows = tuple((value,) for value in ("9", "10", "abc", "ABC"))
    database = engine.open(Table("t", ("a",), rows), SECONDS)
    for condition, count in (("a > 9", 1), ("9 < a", 1), ("a = 10.0", 1), ("a BETWEEN 5 AND 11", 2), ("a = 'Abc'", 2)):
        assert database.execute(f"SELECT COUNT(*) FROM t WHERE {condition}").text == f"[({count},)]", condition
    database.close()
