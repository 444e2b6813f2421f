"""Episodes and model calls as Parquet files, written cell by cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from agentx.evaluation.store import ResultStore
from agentx.reports.collect import Row
from agentx.results import CALL_COLUMNS, CELL_COLUMNS, EPISODE_COLUMNS, call_records, cell_record, episode_record

ARROW = {
    "string": pa.string(),
    "Int64": pa.int64(),
    "UInt64": pa.uint64(),
    "Float64": pa.float64(),
    "boolean": pa.bool_(),
}
ROWS_AT_ONCE = 20_000
"""records held before they are written"""


def write_parquet(rows: Sequence[Row], directory: Path) -> list[Path]:
    """Write episodes.parquet (one row per episode, infrastructure errors included, without a score) and
    calls.parquet (one row per model call); the columns are those of `agentx.results`."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / "episodes.parquet", directory / "calls.parquet"]
    with _Table(paths[0], EPISODE_COLUMNS) as episodes, _Table(paths[1], CALL_COLUMNS) as calls:
        for row in rows:
            cell = cell_record(row)
            store = ResultStore(row.directory)
            for trajectory, _ in store.stream():
                episodes.add({**cell, **episode_record(trajectory)})
                for record in call_records(trajectory):
                    calls.add({**cell, **record})
            for error in store.infrastructure_errors():
                episodes.add({**cell, **episode_record(error, scored=False)})
    return paths


class _Table:
    """A Parquet file that appears whole or not at all."""

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        self.path, self.temporary = path, path.with_name(f".{path.name}")
        self.schema = pa.schema([(name, ARROW[kind]) for name, kind in {**CELL_COLUMNS, **columns}.items()])
        self.records: list[dict[str, Any]] = []

    def __enter__(self) -> _Table:
        self.writer = pq.ParquetWriter(self.temporary, self.schema, compression="zstd")
        return self

    def add(self, record: dict[str, Any]) -> None:
        self.records.append(record)
        if len(self.records) >= ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        self.writer.write_table(pa.Table.from_pylist(self.records, schema=self.schema))
        self.records.clear()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self.writer.close()
        if kind is None:
            self.temporary.replace(self.path)
        else:
            self.temporary.unlink(missing_ok=True)
