"""Reading conversations from files: ShareGPT and AgentInstruct, alpaca, OpenAI messages, and our own form.

A file is JSON (a list of records), JSONL (a record a line) or Parquet (a record a row). The form is told from
each record's keys, so that sets of several forms can be mixed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agentx.conversation import Conversation, Message, Role
from agentx.errors import UserError

SPEAKERS: dict[str, Role] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "assistant": "assistant",
}


class RecordError(Exception):
    """Why a record is no conversation; the reader adds file and place."""


@dataclass(frozen=True)
class FileData:
    """What a file held. `skipped` says why for each record left out: `file:line: reason`."""

    conversations: list[Conversation]
    skipped: list[str]


def read_conversations(path: str | Path, on_error: Literal["stop", "skip"] = "stop") -> FileData:
    """All conversations of a file.

    Raises UserError when the file cannot be read and, with on_error="stop", for the first record that is broken
    or in which nothing can be trained, with file, place and reason.
    """
    path = Path(path)
    conversations: list[Conversation] = []
    skipped: list[str] = []
    for place, record in _records(path):
        try:
            if isinstance(record, RecordError):
                raise record
            conversations.append(parse_record(record, source=path.stem, id=place.replace(" ", "-")))
        except RecordError as error:
            line = f"{path}:{place}: {error}"
            if on_error == "stop":
                raise UserError(f"{line}; mend the record or set data.on_error=skip") from error
            skipped.append(line)
    if not conversations:
        raise UserError(f"{path}: holds no usable conversation" + (f" ({skipped[0]})" if skipped else ""))
    return FileData(conversations, skipped)


def parse_record(record: Any, source: str = "", id: str = "") -> Conversation:
    """One record of any known form; `source` and `id` stand in where it brings none.

    Of an AgentInstruct or ShareGPT record every agent turn is trained unless its `loss` is false; of OpenAI
    messages, unless their `weight` is 0; of our own form, the turns marked `trained` (all agent turns where no
    message is marked). Raises RecordError.
    """
    if not isinstance(record, Mapping):
        raise RecordError(f"a record must be an object, this is {_kind(record)}")
    if record.get("conversations") is not None:
        messages = _turns(record["conversations"], "conversations")
    elif record.get("messages") is not None:
        messages = _turns(record["messages"], "messages")
    elif "instruction" in record and "output" in record:
        messages = _alpaca(record)
    else:
        keys = ", ".join(map(str, list(record)[:6])) or "no keys"
        raise RecordError(f"has {keys}, and neither conversations, nor messages, nor instruction and output")
    source = str(record.get("source") or source)
    id = str(record["id"]) if record.get("id") is not None else id
    if not any(message.trained for message in messages):
        raise RecordError(f"conversation {id} has no agent turn to train")
    metadata = record.get("metadata")
    return Conversation(tuple(messages), source, id, dict(metadata) if isinstance(metadata, Mapping) else {})


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    """Records with their place in the file. An unreadable one comes as the RecordError that says why."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; name a JSON, JSONL or Parquet file, `experts` or `skills`")
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
        raise UserError(f"{path}: must hold a list of records, this is {_kind(records)}")
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


def _turns(turns: Any, key: str) -> list[Message]:
    if not isinstance(turns, list) or not turns:
        raise RecordError(f"{key} must be a list of turns, this is {_kind(turns)}")
    if not all(isinstance(turn, Mapping) for turn in turns):
        raise RecordError(f"{key} holds a turn that is no object")
    marked = any(turn.get("trained") is not None for turn in turns)
    messages = []
    for number, turn in enumerate(turns, start=1):
        # Parquet gives every turn every key of the column, null where it has none.
        speaker = turn["from"] if turn.get("from") is not None else turn.get("role")
        role = SPEAKERS.get(speaker) if isinstance(speaker, str) else None
        if role is None:
            raise RecordError(f"turn {number} of {key}: speaker {speaker!r} is not one of {', '.join(SPEAKERS)}")
        content = _text(turn["value"] if turn.get("value") is not None else turn.get("content"), number)
        wanted = turn.get("trained") is True if marked else turn.get("loss") is not False and turn.get("weight") != 0
        messages.append(Message(role, content, trained=role == "assistant" and bool(wanted)))
    return messages


def _text(content: Any, number: int) -> str:
    """A turn's text; OpenAI's list of text parts is joined."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and content:
        texts = [part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
        strings = [text for text in texts if isinstance(text, str)]
        if len(strings) == len(content):
            return "".join(strings)
    raise RecordError(f"turn {number}: its text must be a string, this is {_kind(content)}")


def _alpaca(record: Mapping[str, Any]) -> list[Message]:
    parts = [record["instruction"], record.get("input") or "", record["output"]]
    for name, part in zip(("instruction", "input", "output"), parts, strict=True):
        if not isinstance(part, str):
            raise RecordError(f"{name} must be a string, this is {_kind(part)}")
    instruction, given, output = parts
    question = f"{instruction}\n\n{given}" if given.strip() else instruction
    return [Message("user", question), Message("assistant", output, trained=True)]


def _kind(value: Any) -> str:
    names = {type(None): "null", bool: "true or false", str: "a string", dict: "an object"}
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return names.get(type(value), f"a {type(value).__name__}")
