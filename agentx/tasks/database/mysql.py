"""The reference engine: a MySQL or MariaDB server, given by a DSN or started privately.

Each episode has a database and, while it lasts, a user of its own, who may do anything to that database and nothing
elsewhere: no files, no other database, no other connection, no setting of the server.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import pymysql
from pymysql.cursors import SSCursor

from agentx.errors import ConfigError, UserError
from agentx.tasks.database import server
from agentx.tasks.database.engines import Reply, error_reply, refusal, rows_reply, timeout_reply
from agentx.tasks.database.server import Address
from agentx.tasks.database.tables import Table

# MySQL 8's default without STRICT_TRANS_TABLES: AgentBench's recorded hashes come from a server that was not strict.
_SQL_MODE = "ONLY_FULL_GROUP_BY,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
# The nearest that MariaDB has to MySQL 8's default, utf8mb4_0900_ai_ci; the latter is what MySQL itself takes.
_MARIADB_COLLATION = "COLLATE utf8mb4_uca1400_nopad_ai_ci"
_MARGIN = 1.0
"""seconds the server has for stopping a statement by itself before its connection is cut"""
_LOCK_SECONDS = 30
"""an administrator's statement waits at most so long for an episode's stopped statement to be undone"""
_ROWS = 500
"""per INSERT when a table is filled"""
_DRAINED = 10_000
"""rows that are read for nothing, to keep a connection; past that a new one is cheaper"""
_CONNECTION_LOST = (0, 1317, 1927, 2006, 2013, 2014, 2055)
_OUT_OF_TIME = (1969, 3024)
_SERVER_FAILED = (1040, 1053, 1203, 2002, 2003)
_DENIED = 1045
_NO_DATABASE = 1049
_GONE = (1049, 1054, 1146, 1356)
"""errors that say the agent has removed or renamed the table, a column or the database"""


def parse_dsn(dsn: str) -> Address:
    """Raises ConfigError on anything but mysql://user[:password]@host[:port] or mysql://user@/path/of/socket."""
    try:
        parts = urlsplit(dsn)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("mysql", "mariadb") or not parts.username or parts.query:
        raise ConfigError("task.dsn: must be mysql://user:password@host:port or mysql://user@/path/of/socket")
    socket = unquote(parts.path) if not parts.hostname and parts.path else None
    if socket is None and (not parts.hostname or parts.path.strip("/")):
        raise ConfigError("task.dsn: name a host and port or a socket, and no database: each episode gets its own")
    return Address(
        unquote(parts.username), unquote(parts.password or ""), parts.hostname or "localhost", port or 3306, socket
    )


@dataclass(frozen=True)
class Account:
    """A user who may do anything to databases named `<name>_...` and nothing elsewhere."""

    name: str
    password: str


class MysqlEngine:
    """Satisfies `engines.Engine`; may be used by many threads at once. `address` is of a user who may create databases
    and users."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._idle: list[Any] = []
        self._accounts: list[Account] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._version = ""

    def open(self, table: Table, seconds: float) -> MysqlDatabase:
        account = self._hire()
        name = f"{account.name}_{next(self._numbers)}"
        database = MysqlDatabase(self, account, name, table, seconds)
        try:
            self.run(
                f"CREATE DATABASE {name} CHARACTER SET utf8mb4 {_MARIADB_COLLATION if self.is_mariadb else ''}",
                f"CREATE TABLE {name}.{quoted(table.name)} ({', '.join(f'{quoted(c)} TEXT' for c in table.columns)})",
                *_inserts(name, table),
            )
            database.connect()
        except BaseException:
            with contextlib.suppress(OSError):
                database.close()
            raise
        return database

    def _hire(self) -> Account:
        """An account that no other episode uses now; what it may do is settled once, which takes longer than all the
        rest of an episode's set-up."""
        with self._lock:
            if self._accounts:
                return self._accounts.pop()
        account = Account(f"agentx_{secrets.token_hex(5)}", secrets.token_hex(16))
        self.run(
            f"CREATE USER {account.name}@'%' IDENTIFIED BY '{account.password}'",
            f"GRANT ALL PRIVILEGES ON `{account.name}\\_%`.* TO {account.name}@'%'",
        )
        return account

    def dismiss(self, account: Account) -> None:
        """The account's episode is over: whatever databases it has are dropped."""
        pattern = account.name.replace("_", "\\\\_")
        left = self.run(f"SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE '{pattern}\\\\_%'")
        self.run("DO 0", *(f"DROP DATABASE {quoted(str(name))}" for (name,) in left))
        with self._lock:
            self._accounts.append(account)

    def run(self, *statements: str | tuple[str, Sequence[object]]) -> list[tuple[Any, ...]]:
        """Run statements as the administrator; the last one's rows. Raises OSError."""
        while True:
            try:
                connection, used = self._idle.pop(), True
            except IndexError:
                connection, used = None, False
            done = 0
            try:
                if connection is None:
                    connection = connect(self.address)
                rows: Sequence[tuple[Any, ...]] = ()
                with connection.cursor() as cursor:
                    for statement in statements:
                        text, values = statement if isinstance(statement, tuple) else (statement, None)
                        cursor.execute(text, values)
                        rows = cursor.fetchall()
                        done += 1
            except pymysql.Error as error:
                if used and not done and number_of(error) in _CONNECTION_LOST:
                    continue  # an idle connection that the server has closed in the meantime
                raise OSError(f"the database server failed: {error}") from error
            self._idle.append(connection)
            return list(rows)

    def version(self) -> str:
        if not self._version:
            self._version = str(self.run("SELECT VERSION()")[0][0])
        return self._version

    @property
    def is_mariadb(self) -> bool:
        return "MariaDB" in self.version()

    def close(self) -> None:
        """Leaves nothing on the server."""
        with contextlib.suppress(OSError):
            self.run("DO 0", *(f"DROP USER IF EXISTS {account.name}@'%'" for account in self._accounts))
        self._accounts = []
        while self._idle:
            self._idle.pop().close()


class MysqlDatabase:
    """Satisfies `engines.Database`."""

    def __init__(self, engine: MysqlEngine, account: Account, name: str, table: Table, seconds: float) -> None:
        self._engine = engine
        self._account = account
        self._name = name
        self._table = table
        self._seconds = seconds
        self._connection: Any = None

    def connect(self) -> None:
        """(Re)connect as the episode's own user. Raises OSError."""
        try:
            try:
                self._connection = self._let_in(self._name)
            except pymysql.Error as error:
                if number_of(error) != _NO_DATABASE:  # the agent has dropped it
                    raise
                self._connection = self._let_in(None)
            limit = f"max_statement_time={self._seconds}"
            if not self._engine.is_mariadb:
                limit = f"max_execution_time={int(self._seconds * 1000)}"
            with self._connection.cursor() as cursor:
                cursor.execute(f"SET SESSION {limit}, SESSION sql_mode='{_SQL_MODE}'")
        except pymysql.Error as error:
            raise OSError(f"the database server failed: {error}") from error

    def _let_in(self, database: str | None) -> Any:
        account = replace(self._engine.address, user=self._account.name, password=self._account.password)
        try:
            return connect(account, self._seconds + _MARGIN, database)
        except pymysql.Error as error:
            if number_of(error) != _DENIED:
                raise
        # An agent, maybe of an earlier episode, has changed the account's password.
        self._engine.run(f"ALTER USER {account.user}@'%' IDENTIFIED BY '{account.password}'")
        return connect(account, self._seconds + _MARGIN, database)

    def execute(self, statement: str) -> Reply:
        refused = refusal(statement)
        if refused:
            return refused
        started = time.monotonic()
        try:
            if self._connection is None:
                self.connect()
            return self._run(statement.encode("utf-8", "replace").decode("utf-8"))
        except pymysql.Error as error:
            number = number_of(error)
            message = str(error.args[1]) if len(error.args) > 1 else str(error)
            if number in _SERVER_FAILED:
                raise OSError(f"the database server failed: {error}") from error
            if number in _OUT_OF_TIME:
                return timeout_reply()
            if number in _CONNECTION_LOST:
                self._drop_connection()
                if time.monotonic() - started >= self._seconds:
                    return timeout_reply()
                # The server is asked whether it is there at all: if not, it is not the statement's doing.
                self._engine.run("SELECT 1")
                return error_reply(2013, "Lost connection to MySQL server during query")
            return error_reply(number, self._worded(message))
        except (UnicodeError, ValueError, OverflowError) as error:
            self._drop_connection()
            return error_reply(1366, f"Incorrect string value in the result ({type(error).__name__})")

    def digest(self) -> str:
        columns = ", ".join(map(quoted, self._table.columns))
        where = f"{self._name}.{quoted(self._table.name)}"
        try:
            found = self._engine.run(
                "SET SESSION group_concat_max_len=1024, SESSION sql_mode=''",
                "SELECT MD5(GROUP_CONCAT(rowhash ORDER BY rowhash)) FROM "
                f"(SELECT SUBSTRING(MD5(CONCAT_WS(',', {columns})), 1, 5) AS rowhash FROM {where}) AS hashed",
            )
        except OSError as error:
            cause = error.__cause__
            if isinstance(cause, pymysql.Error) and number_of(cause) in _GONE:
                return ""
            raise
        return found[0][0] or ""

    def fork(self) -> None:
        """Copying a database costs more than replaying an episode."""

    def close(self) -> None:
        self._drop_connection()
        self._engine.dismiss(self._account)

    def _run(self, statement: str) -> Reply:
        deadline = time.monotonic() + self._seconds
        cursor = self._connection.cursor(SSCursor)
        cursor.execute(statement)
        if not cursor.description:
            self._settle()
            return Reply("[]")

        def rows() -> Iterator[tuple[object, ...]]:
            while (row := cursor.fetchone()) is not None:
                if time.monotonic() > deadline:
                    raise pymysql.OperationalError(_OUT_OF_TIME[0], "")
                yield row

        rest = rows()
        try:
            reply = rows_reply(rest)
            exhausted = sum(1 for _ in islice(rest, _DRAINED)) < _DRAINED
        except BaseException:
            self._drop_connection()
            raise
        if exhausted:
            self._settle()
        else:
            self._drop_connection()
        return reply

    def _settle(self) -> None:
        """Keep what the statement did, as AgentBench does after each, and let go of the tables: the administrator, who
        reads them next, would wait for a lock. Where that is refused (XA), the connection goes."""
        try:
            with self._connection.cursor() as cursor:
                cursor.execute("COMMIT")
                cursor.execute("UNLOCK TABLES")
        except pymysql.Error:
            self._drop_connection()

    def _drop_connection(self) -> None:
        """Cut the episode's connection and stop what it may still be running."""
        connection, self._connection = self._connection, None
        if connection is not None:
            number = connection.thread_id()
            if connection._result is not None:
                # Nothing more will come: PyMySQL would read the rest when the result is collected.
                connection._result.unbuffered_active = False
            with contextlib.suppress(Exception):
                connection._force_close()
            with contextlib.suppress(OSError):
                self._engine.run(f"KILL {int(number)}")

    def _worded(self, message: str) -> str:
        """As MySQL would say it: no trace of which server it is, nor of the database's made-up name."""
        return message.replace("MariaDB server", "MySQL server").replace(self._name, self._table.name)


class _Connection(pymysql.Connection):
    """Reads the system's certificates once; PyMySQL does so for every connection (80 ms), though it checks none."""

    _context: ClassVar[Any] = None

    def _create_ssl_ctx(self, sslp: Any) -> Any:
        if _Connection._context is None:
            _Connection._context = super()._create_ssl_ctx(sslp)
        return _Connection._context


def connect(address: Address, read_timeout: float | None = None, database: str | None = None) -> Any:
    """Raises pymysql.Error."""
    return _Connection(
        user=address.user,
        password=address.password,
        host=address.host,
        port=address.port,
        unix_socket=address.socket,
        database=database,
        charset="utf8mb4",
        autocommit=True,
        connect_timeout=10,
        read_timeout=read_timeout,
        write_timeout=read_timeout,
        ssl_disabled=address.socket is not None,
        init_command=f"SET SESSION lock_wait_timeout={_LOCK_SECONDS}",
    )


def engine_at(dsn: str | None) -> MysqlEngine:
    """The engine of the server that `dsn` names, or of this process's private server.

    Raises UserError when the server cannot be reached or there is none to start, and OSError when it does not start.
    """
    if dsn is None:
        engine = MysqlEngine(server.shared(_answers).address)
    else:
        engine = MysqlEngine(parse_dsn(dsn))
        try:
            engine.version()
        except OSError as error:
            raise UserError(f"task.dsn: {error}") from error
    return engine


def number_of(error: pymysql.Error) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _inserts(database: str, table: Table) -> Iterator[tuple[str, Sequence[object]]]:
    row = f"({', '.join(['%s'] * len(table.columns))})"
    for start in range(0, len(table.rows), _ROWS):
        part = table.rows[start : start + _ROWS]
        # PyMySQL formats the whole statement: a percent sign in a name has to be doubled.
        where = f"{database}.{quoted(table.name)}".replace("%", "%%")
        yield f"INSERT INTO {where} VALUES {', '.join([row] * len(part))}", [value for r in part for value in r]


def _answers(address: Address) -> bool:
    try:
        connect(address).close()
    except pymysql.Error:
        return False
    return True
