"""What an engine offers to an episode, and how its results and errors read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from agentx.tasks.database.tables import Table

LONGEST_REPLY = 800
"""characters (AgentBench)"""
LONGEST_STATEMENT = 16_384
"""characters; longer ones are refused as MySQL refuses packets over its limit"""

_STATES = {
    1044: "42000",
    1045: "28000",
    1046: "3D000",
    1048: "23000",
    1049: "42000",
    1050: "42S01",
    1051: "42S02",
    1052: "23000",
    1054: "42S22",
    1055: "42000",
    1060: "42S21",
    1062: "23000",
    1064: "42000",
    1065: "42000",
    1091: "42000",
    1109: "42S02",
    1110: "42000",
    1111: "HY000",
    1136: "21S01",
    1140: "42000",
    1142: "42000",
    1143: "42000",
    1146: "42S02",
    1148: "42000",
    1153: "08S01",
    1222: "21000",
    1227: "42000",
    1242: "21000",
    1305: "42000",
    1370: "42000",
    1582: "42000",
}
_UNKNOWN = (1049, 1051, 1054, 1109, 1146)


@dataclass(frozen=True)
class Reply:
    """What a statement brought: the text for the agent, at most LONGEST_REPLY characters and a mark, and MySQL's
    error number, 0 for success."""

    text: str
    error: int = 0

    @property
    def unknown_name(self) -> bool:
        """The statement named a database, table or column that is not there."""
        return self.error in _UNKNOWN


class Database(Protocol):
    """One episode's own database. All methods block; `execute` no longer than the statement limit and a moment."""

    def execute(self, statement: str) -> Reply:
        """Run one statement of the agent. Raises OSError when the engine failed, not the statement."""
        ...

    def digest(self) -> str:
        """The table's hash now (see `tables.digest_rows`); '' when it is empty or gone."""
        ...

    def fork(self) -> Database | None:
        """An independent copy, or None where there is no cheap one."""
        ...

    def close(self) -> None: ...


class Engine(Protocol):
    """Opens databases; `seconds` is the time limit of a statement. Raises OSError when it cannot."""

    def open(self, table: Table, seconds: float) -> Database: ...


def rows_reply(rows: Iterable[tuple[object, ...]]) -> Reply:
    """The rows as Python writes a list of them. Only as many are read as the reply can show, so that a result of
    10^9 rows costs no more than a short one."""
    parts: list[str] = []
    length = 0
    for row in rows:
        parts.append(repr(row))
        length += len(parts[-1]) + 2
        if length > LONGEST_REPLY + 2:
            break
    return Reply(_cut(f"[{', '.join(parts)}]"))


def error_reply(number: int, message: str) -> Reply:
    return Reply(_cut(f"{number} ({_STATES.get(number, 'HY000')}): {message}"), number)


def refusal(statement: str) -> Reply | None:
    """The reply to a statement that no engine need see, or None."""
    if len(statement) > LONGEST_STATEMENT:
        return error_reply(1153, "Got a packet bigger than 'max_allowed_packet' bytes")
    if not statement.strip():
        return error_reply(1065, "Query was empty")
    return None


def timeout_reply() -> Reply:
    return error_reply(3024, "Query execution was interrupted, maximum statement execution time exceeded")


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_REPLY else f"{text[:LONGEST_REPLY]}[TRUNCATED]"
