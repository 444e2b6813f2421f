"""AgentBench's own samples: `dbbench/<split>.jsonl` below `paths.agentbench`."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

from agentx.tasks.database.settings import MUTATIONS
from agentx.tasks.database.tables import Record, Table
from agentx.tasks.environment import TaskDataError


def read_records(agentbench: Path | None, split: str) -> list[Record]:
    """All samples of `split` in the file's order; ids are `<split>-<line>`, counted from 0.

    Raises TaskDataError when the file is missing or a line is not a sample, naming it. A table that no server could
    create is read all the same: opening such a sample says so.
    """
    if agentbench is None:
        raise TaskDataError(
            "task.source=official: paths.agentbench is not set; it is the data folder of an AgentBench checkout "
            "(the one that has dbbench/dev.jsonl), or use task.source=generated"
        )
    path = agentbench / "dbbench" / f"{split}.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise TaskDataError(f"{path}: cannot be read; paths.agentbench has to be AgentBench's data folder") from error
    records = []
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            records.append(_record(f"{split}-{number:03d}", json.loads(line)))
        except (ValueError, KeyError, TypeError, IndexError, SyntaxError) as error:
            problem = f"{type(error).__name__}: {error}"
            raise TaskDataError(f"{path}, line {number + 1}: not a sample of the database task ({problem})") from error
    return records


def _record(name: str, line: dict[str, Any]) -> Record:
    kind = line["type"][0]
    if not isinstance(kind, str):
        raise TypeError(f"type {kind!r} is not a text")
    description = f"{line['description']}\n{line['add_description']}"
    table = line["table"]
    columns = tuple(str(column["name"]) for column in table["table_info"]["columns"])
    rows = tuple(tuple(_text(value) for value in row) for row in table["table_info"]["rows"])
    made = Table(str(table["table_name"]), columns, rows)
    if kind in MUTATIONS:
        # Written as Python writes a row list: [('<md5>',)]
        digest = ast.literal_eval(line["answer_md5"])[0][0]
        return Record(name, kind, description, made, statement=str(line["label"][0]), digest=str(digest))
    return Record(name, kind, description, made, label=tuple(str(value) for value in line["label"]))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
