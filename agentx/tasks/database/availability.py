"""Which database engines work on this machine, why not, and the one thing that mends it. Imports nothing heavy."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from agentx.errors import UserError
from agentx.tasks.availability import Availability
from agentx.tasks.database.server import server_program, system_tables
from agentx.tasks.database.settings import Settings

KINDS = ("sqlite", "mysql")
_INSTALL = "install it (Debian: apt install mariadb-server-core), set task.dsn, or use task.engine=sqlite"


class EngineAvailability(Availability):
    """A kind of database engine."""

    option = "task.engine"


def database_engines(dsn: str | None = None) -> list[EngineAvailability]:
    """Every kind of `task.engine`; with `dsn`, mysql is that server, which is asked."""
    return [database_engine(name, dsn) for name in KINDS]


def database_engine(name: str, dsn: str | None = None) -> EngineAvailability:
    if name == "sqlite":
        if find_spec("sqlglot") is None:
            return EngineAvailability(name, False, "sqlglot is not installed", "run: make setup")
        return EngineAvailability(name, True, "embedded; reads MySQL's dialect, a stand-in and labelled so")
    if find_spec("pymysql") is None:
        return EngineAvailability(name, False, "pymysql is not installed", "run: make setup")
    return _private() if dsn is None else _given(dsn)


def require(settings: Settings) -> None:
    """Raises UserError, in one line, where this machine has no such engine: for a run to ask before all else."""
    found = database_engine(settings.engine, settings.dsn)
    if not found.works:
        raise UserError(found.line)


def _private() -> EngineAvailability:
    program = server_program()
    if program is None:
        return EngineAvailability("mysql", False, "no MariaDB server is installed here", _INSTALL)
    if system_tables(Path(program)) is None:
        return EngineAvailability("mysql", False, f"{program} lacks its mysql_system_tables.sql", _INSTALL)
    return EngineAvailability("mysql", True, f"a private MariaDB is started from {program}")


def _given(dsn: str) -> EngineAvailability:
    from agentx.tasks.database.mysql import engine_at

    try:
        engine = engine_at(dsn)
        version = engine.version()
        engine.close()
    except (UserError, OSError) as error:
        said = str(error).removeprefix("task.dsn: ")
        return EngineAvailability("mysql", False, f"task.dsn: {said}", "see that the server runs and lets that user in")
    return EngineAvailability("mysql", True, f"the server of task.dsn, version {version}")
