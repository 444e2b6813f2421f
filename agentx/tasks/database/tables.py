"""A sample's table and record, whether it can be created, and the hash that tells one state of it from another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Row = tuple[str | None, ...]

_LONGEST_NAME = 64
# MySQL's group_concat_max_len: AgentBench's hash sees no more of the row hashes, which is 170 rows.
_LONGEST_LIST = 1024


@dataclass(frozen=True)
class Table:
    """A table all of whose columns are TEXT, as AgentBench creates them."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def defect(self) -> str:
        """Why MySQL could not create this table, or '' where it can."""
        for what, names in (("table", [self.name]), ("column", self.columns)):
            for name in names:
                if not name.strip() or name.endswith(" "):
                    return f"a {what} name is blank or ends in a space ({name!r})"
                if len(name) > _LONGEST_NAME:
                    return f"a {what} name is longer than {_LONGEST_NAME} characters ({name!r})"
        seen: set[str] = set()
        for column in self.columns:
            if column.casefold() in seen:
                return f"the column name {column!r} occurs twice"
            seen.add(column.casefold())
        for number, row in enumerate(self.rows, 1):
            if len(row) != len(self.columns):
                return f"row {number} has {len(row)} values for {len(self.columns)} columns"
        return "" if self.columns else "it has no column"


@dataclass(frozen=True)
class Record:
    """One sample: `statement` is the ground truth where there is one, `label` the accepted answer of a query,
    `digest` the hash (see `digest_rows`) that the table has to have after a mutation."""

    id: str
    kind: str
    description: str
    table: Table
    label: tuple[str, ...] = ()
    statement: str = ""
    digest: str = ""


def digest_rows(rows: Iterable[Sequence[object]]) -> str:
    """AgentBench's hash of a table, without a server: md5 over the sorted first five digits of each row's md5, where
    a row is its values joined by commas, NULLs left out. '' for an empty table, whose hash is NULL."""
    hashes = sorted(
        hashlib.md5(",".join(str(value) for value in row if value is not None).encode()).hexdigest()[:5] for row in rows
    )
    return hashlib.md5(",".join(hashes)[:_LONGEST_LIST].encode()).hexdigest() if hashes else ""
