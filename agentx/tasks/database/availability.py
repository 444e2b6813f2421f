"""Which database engines work on this machine, why not, and the one thing that mends it. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from agentx.errors import UserError
from agentx.tasks.database.server import server_program, system_tables
from agentx.tasks.database.settings import Settings

KINDS = ("sqlite", "mysql")
_INSTALL = "install it (Debian: apt install mariadb-server-core), set task.dsn, or use task.engine=sqlite"


@dataclass(frozen=True)
class Availability:
    """`detail`: what the engine is where it works, else why it does not. `remedy`: what to do then, '' where there is
    nothing to mend."""

    name: str
    works: bool
    detail: str
    remedy: str = ""

    @property
    def line(self) -> str:
        """What a run that asked for it is told."""
        return f"task.engine={self.name}: {self.detail}" + (f"; {self.remedy}" if self.remedy else "")


def database_engines(dsn: str | None = None) -> list[Availability]:
    """Every kind of `task.engine`; with `dsn`, mysql is that server, which is asked."""
    return [database_engine(name, dsn) for name in KINDS]


def database_engine(name: str, dsn: str | None = None) -> Availability:
    if name == "sqlite":
        if find_spec("sqlglot") is None:
            return Availability(name, False, "sqlglot is not installed", "run: make setup")
        return Availability(name, True, "embedded; reads MySQL's dialect, a stand-in and labelled so")
    if find_spec("pymysql") is None:
        return Availability(name, False, "pymysql is not installed", "run: make setup")
    return _private() if dsn is None else _given(dsn)


def require(settings: Settings) -> None:
    """Raises UserError, in one line, where this machine has no such engine: for a run to ask before all else."""
    found = database_engine(settings.engine, settings.dsn)
    if not found.works:
        raise UserError(found.line)


def _private() -> Availability:
    program = server_program()
    if program is None:
        return Availability("mysql", False, "no MariaDB server is installed here", _INSTALL)
    if system_tables(Path(program)) is None:
        return Availability("mysql", False, f"{program} lacks its mysql_system_tables.sql", _INSTALL)
    return Availability("mysql", True, f"a private MariaDB is started from {program}")


def _given(dsn: str) -> Availability:
    from agentx.tasks.database.mysql import engine_at

    try:
        engine = engine_at(dsn)
        version = engine.version()
        engine.close()
    except (UserError, OSError) as error:
        said = str(error).removeprefix("task.dsn: ")
        return Availability("mysql", False, f"task.dsn: {said}", "see that the server runs and lets that user in")
    return Availability("mysql", True, f"the server of task.dsn, version {version}")
