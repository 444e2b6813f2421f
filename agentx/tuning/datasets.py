"""Reading conversations from files: JSON (a list of records), JSONL (a record a line) or Parquet (a record a row).

What a record may look like is told in `agentx.tuning.records`; sets from the Hub are in `agentx.tuning.known_sets`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agentx.conversation import Conversation
from agentx.errors import UserError
from agentx.tuning.records import RecordError, kind, parse_record

SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet")


@dataclass(frozen=True)
class FileData:
    """What a file held. `skipped` says why for each record left out: `file:line: reason`."""

    conversations: list[Conversation]
    skipped: list[str]


def read_conversations(path: str | Path, on_error: Literal["stop", "skip"] = "stop") -> FileData:
    """All conversations of a file, or of all files in a directory and below it.

    Raises UserError when a file cannot be read and, with on_error="stop", for the first record that is broken
    or in which nothing can be trained, with file, place and reason.
    """
    path = Path(path)
    files = [path]
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if _holds_data(file.relative_to(path))]
        if not files:
            raise UserError(f"{path}: holds no JSON, JSONL or Parquet file")
    parts = [parse_records(_records(file), str(file), file.stem, on_error) for file in files]
    conversations = [conversation for part in parts for conversation in part.conversations]
    skipped = [line for part in parts for line in part.skipped]
    return some(FileData(conversations, skipped), str(path))


def _holds_data(file: Path) -> bool:
    """Not what the Hub's tools leave beside the data of a downloaded set."""
    hidden = any(part.startswith(".") for part in file.parts)
    return file.suffix.lower() in SUFFIXES and not hidden and not file.name.startswith("dataset_info")


def parse_records(
    records: Iterable[tuple[str, Any]], origin: str, source: str, on_error: Literal["stop", "skip"]
) -> FileData:
    """Conversations from (place, record) pairs; `origin` is what messages name, `source` what conversations bear.

    Raises UserError for the first broken record with on_error="stop".
    """
    conversations: list[Conversation] = []
    skipped: list[str] = []
    for place, record in records:
        try:
            if isinstance(record, RecordError):
                raise record
            conversations.append(parse_record(record, source=source, id=place.replace(" ", "-")))
        except RecordError as error:
            line = f"{origin}:{place}: {error}"
            if on_error == "stop":
                raise UserError(f"{line}; mend the record or set data.on_error=skip") from error
            skipped.append(line)
    return FileData(conversations, skipped)


def some(data: FileData, origin: str) -> FileData:
    """`data`. Raises UserError when nothing is in it."""
    if not data.conversations:
        raise UserError(f"{origin}: holds no usable conversation" + (f" ({data.skipped[0]})" if data.skipped else ""))
    return data


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    """Records with their place in the file. An unreadable one comes as the RecordError that says why."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; name a JSON, JSONL or Parquet file, or a known set")
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            yield from _parquet_rows(path)
        elif suffix in (".jsonl", ".ndjson"):
            yield from _json_lines(path)
        elif suffix == ".json":
            yield from _json_list(path)
        else:
            raise UserError(f"{path}: unknown kind of file; name it .json, .jsonl or .parquet")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text (byte {error.start}); convert it first") from error


def _json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield str(number), _decode(line)


def _json_list(path: Path) -> Iterator[tuple[str, Any]]:
    text = path.read_text(encoding="utf-8-sig")
    try:
        records = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        first = next((line for line in text.splitlines() if line.strip()), "")
        if isinstance(error, json.JSONDecodeError) and isinstance(_decode(first), dict):
            yield from _json_lines(path)
            return
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        place = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise UserError(f"{path}{place}: is not JSON ({reason})") from error
    if isinstance(records, dict):
        records = [records]
    if not isinstance(records, list):
        raise UserError(f"{path}: must hold a list of records, this is {kind(records)}")
    yield from ((f"record {index}", record) for index, record in enumerate(records, start=1))


def _parquet_rows(path: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        number = 0
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row
    except pyarrow.ArrowException as error:
        raise UserError(f"{path}: is not a Parquet file that can be read ({str(error).splitlines()[0]})") from error


def _decode(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        return RecordError(f"is not JSON ({error.msg} at column {error.colno})")
    except RecursionError:
        return RecordError("is nested too deeply")
