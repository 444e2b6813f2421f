"""The embedded engine: SQLite as a stand-in for MySQL, whose dialect sqlglot translates.

Kept from MySQL: quoting, `LIMIT a, b`, casts, text compared with numbers as numbers, comparison without regard to
(ASCII) case, error numbers of the usual mistakes, one statement at a time, no access beyond the episode's database.
Not kept: double-quoted table names pass, and functions that SQLite lacks are errors.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.sqlite import SQLite
from sqlglot.errors import ErrorLevel, SqlglotError

from agentx.tasks.database.engines import Reply, error_reply, refusal, rows_reply, timeout_reply
from agentx.tasks.database.tables import Table, digest_rows

logging.getLogger("sqlglot").setLevel(logging.ERROR)

_ALLOWED = (
    exp.Query,
    exp.Insert,
    exp.Update,
    exp.Delete,
    exp.Alter,
    exp.TruncateTable,
)
_DEFINED = ("TABLE", "VIEW", "INDEX")
_IGNORED = (exp.Transaction, exp.Commit, exp.Rollback, exp.Set)
_COMPARISONS = (exp.GT, exp.GTE, exp.LT, exp.LTE, exp.EQ, exp.NEQ, exp.Between)
_DENIED = (
    sqlite3.SQLITE_ATTACH,
    sqlite3.SQLITE_DETACH,
    sqlite3.SQLITE_PRAGMA,
    sqlite3.SQLITE_CREATE_TRIGGER,
    sqlite3.SQLITE_CREATE_TEMP_TRIGGER,
    sqlite3.SQLITE_CREATE_VTABLE,
    sqlite3.SQLITE_ANALYZE,
)
_DENIED_FUNCTIONS = ("load_extension", "fts3_tokenizer", "randomblob", "zeroblob")
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 1_000_000,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1_000_000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 500,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_PAGES = 16_384
"""of 4 KiB: 64 MiB a database"""
_INSTRUCTIONS = 20_000
"""of SQLite's virtual machine between two looks at the clock, about a millisecond"""

_SYNTAX = (
    "You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version for the "
    "right syntax to use"
)
# What SQLite says, and how MySQL says it.
_MESSAGES = (
    (re.compile(r"no such table: (?:main\.)?(.*)"), 1146, "Table '{database}.{0}' doesn't exist"),
    (re.compile(r"no such view: (?:main\.)?(.*)"), 1146, "Table '{database}.{0}' doesn't exist"),
    (re.compile(r"table .* has no column named (.*)"), 1054, "Unknown column '{0}' in 'field list'"),
    (re.compile(r"no such column: (.*)"), 1054, "Unknown column '{0}' in 'field list'"),
    (re.compile(r"ambiguous column name: (.*)"), 1052, "Column '{0}' in field list is ambiguous"),
    (re.compile(r"no such function: (.*)"), 1305, "FUNCTION {database}.{0} does not exist"),
    (re.compile(r"(\d+) values for (\d+) columns"), 1136, "Column count doesn't match value count at row 1"),
    (
        re.compile(r"table .* has (\d+) columns but (\d+) values were supplied"),
        1136,
        "Column count doesn't match value count at row 1",
    ),
    (re.compile(r"(?:table|view|index) (.*) already exists"), 1050, "Table '{0}' already exists"),
    (re.compile(r"duplicate column name: (.*)"), 1060, "Duplicate column name '{0}'"),
    (re.compile(r"misuse of aggregate.*"), 1111, "Invalid use of group function"),
    (re.compile(r"database or disk is full"), 1114, "The table is full"),
    (re.compile(r"string or blob too big"), 1301, "Result was larger than max_allowed_packet"),
    (re.compile(r"not authorized.*|.*prohibited.*"), 1142, "command denied to this user"),
)


class _Backquoted(SQLite):
    """SQLite takes an unknown "name" for a string, but never an unknown `name`."""

    class Tokenizer(SQLite.Tokenizer):
        IDENTIFIERS: ClassVar = ["`"]


class SqliteEngine:
    """Satisfies `engines.Engine`."""

    def open(self, table: Table, seconds: float) -> SqliteDatabase:
        connection = _connect()
        columns = ", ".join(f"{_quoted(column)} TEXT COLLATE NOCASE" for column in table.columns)
        connection.execute(f"CREATE TABLE {_quoted(table.name)} ({columns})")
        places = ", ".join("?" * len(table.columns))
        connection.execute("BEGIN")
        connection.executemany(f"INSERT INTO {_quoted(table.name)} VALUES ({places})", table.rows)
        connection.execute("COMMIT")
        return SqliteDatabase(connection, table, seconds)


class SqliteDatabase:
    """Satisfies `engines.Database`. It lives in memory; used by one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, table: Table, seconds: float) -> None:
        self._connection = connection
        self._table = table
        self._seconds = seconds
        self._deadline = 0.0
        connection.set_authorizer(_authorize)
        connection.set_progress_handler(lambda: time.monotonic() > self._deadline, _INSTRUCTIONS)

    def execute(self, statement: str) -> Reply:
        refused = refusal(statement)
        if refused:
            return refused
        self._deadline = time.monotonic() + self._seconds
        try:
            parsed = [part for part in sqlglot.parse(_writable(statement), read="mysql") if part is not None]
        except (SqlglotError, RecursionError) as error:
            return error_reply(1064, f"{_SYNTAX} near '{_place(error)}'")
        if len(parsed) != 1:
            second = parsed[1].sql(dialect="mysql", unsupported_level=ErrorLevel.IGNORE) if parsed else statement
            return error_reply(1064, f"{_SYNTAX} near '{second[:80]}'")
        try:
            return self._run(parsed[0])
        except sqlite3.Error as error:
            return self._explain(error)
        except (SqlglotError, RecursionError, ValueError, OverflowError, Warning):
            return error_reply(1064, f"{_SYNTAX} near '{statement[:80]}'")

    def digest(self) -> str:
        self._deadline = time.monotonic() + self._seconds
        columns = ", ".join(map(_quoted, self._table.columns))
        try:
            return digest_rows(self._connection.execute(f"SELECT {columns} FROM {_quoted(self._table.name)}"))
        except sqlite3.Error:
            return ""

    def fork(self) -> SqliteDatabase:
        other = _connect()
        self._connection.backup(other)
        return SqliteDatabase(other, self._table, self._seconds)

    def close(self) -> None:
        self._connection.close()

    def _run(self, tree: Any) -> Reply:
        if isinstance(tree, exp.Show):
            return self._show(tree)
        if isinstance(tree, exp.Describe) and isinstance(tree.this, exp.Table):
            return self._columns(tree.this.name)
        if isinstance(tree, _IGNORED):
            return Reply("[]")
        if isinstance(tree, exp.Use):
            own = tree.this.name.casefold() == self._table.name.casefold()
            return Reply("[]") if own else self._no_database(tree.this.name)
        if isinstance(tree, exp.Create | exp.Drop):
            if str(tree.args.get("kind")).upper() not in _DEFINED:
                return self._denied()
        elif not isinstance(tree, _ALLOWED):
            return self._denied() if isinstance(tree, exp.Command) else error_reply(1064, _SYNTAX)
        for table in tree.find_all(exp.Table):
            if table.db and table.db.casefold() != self._table.name.casefold():
                return self._no_database(table.db)
            if table.name.casefold().startswith(("sqlite_", "pragma_")):
                return error_reply(1146, f"Table '{self._table.name}.{table.name}' doesn't exist")
            table.set("db", None)
        _compare_as_numbers(tree)
        text = tree.sql(dialect=_Backquoted, unsupported_level=ErrorLevel.IGNORE)
        cursor = self._connection.execute(text)
        try:
            reply = rows_reply(cursor)
        finally:
            cursor.close()
        return reply if isinstance(tree, exp.Query) else Reply("[]")

    def _show(self, tree: exp.Show) -> Reply:
        what = tree.name.upper()
        if what == "TABLES":
            return rows_reply(
                iter(self._connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"))
            )
        if what == "DATABASES":
            return rows_reply(iter([("information_schema",), (self._table.name,)]))
        target = tree.args.get("target")
        if what in ("COLUMNS", "FULL COLUMNS") and target is not None:
            return self._columns(target.name)
        return error_reply(1235, f"The SQLite stand-in doesn't support 'SHOW {what}'")

    def _columns(self, table: str) -> Reply:
        described = self._connection.execute(f"SELECT * FROM {_quoted(table)} LIMIT 0").description
        rows: Iterator[tuple[object, ...]] = ((column[0], "text", "YES", "", None, "") for column in described)
        return rows_reply(rows)

    def _explain(self, error: sqlite3.Error) -> Reply:
        if time.monotonic() > self._deadline and "interrupted" in str(error):
            return timeout_reply()
        for pattern, number, message in _MESSAGES:
            found = pattern.match(str(error))
            if found:
                return error_reply(number, message.format(*found.groups(), database=self._table.name))
        return error_reply(1064, f"{_SYNTAX} ({error})")

    def _no_database(self, name: str) -> Reply:
        return error_reply(1044, f"Access denied for this user to database '{name}'")

    def _denied(self) -> Reply:
        return error_reply(1227, "Access denied; this user lacks the privilege for this operation")


def _connect() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, cached_statements=0)
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    connection.execute(f"PRAGMA max_page_count = {_PAGES}")
    for limit, value in _LIMITS.items():
        connection.setlimit(limit, value)
    return connection


def _authorize(action: int, first: str | None, second: str | None, *_: object) -> int:
    if action in _DENIED or (action == sqlite3.SQLITE_FUNCTION and second in _DENIED_FUNCTIONS):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _compare_as_numbers(tree: exp.Expression) -> None:
    """MySQL compares a text with a number as numbers; SQLite would compare both as texts."""
    for comparison in list(tree.find_all(*_COMPARISONS)):
        if isinstance(comparison.parent, exp.Update):  # SET a = 1 is parsed as a comparison
            continue
        operands = [name for name in ("this", "expression", "low", "high") if comparison.args.get(name) is not None]
        if any(_is_number(comparison.args[name]) for name in operands):
            for name in operands:
                if isinstance(comparison.args[name], exp.Column):
                    comparison.set(name, exp.cast(comparison.args[name], "DOUBLE"))


def _is_number(expression: exp.Expression) -> bool:
    bare = expression.this if isinstance(expression, exp.Neg) else expression
    return isinstance(bare, exp.Literal) and not bare.is_string


def _writable(statement: str) -> str:
    """Without what cannot be encoded: lone surrogates."""
    return statement.encode("utf-8", "replace").decode("utf-8")


def _place(error: Exception) -> str:
    details = getattr(error, "errors", None)
    return str(details[0].get("highlight", ""))[:80] if details else ""


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
