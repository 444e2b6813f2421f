"""Long JSON lists in files, read record by record: official data come as one list of several gigabytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentx.tasks.environment import TaskDataError

BLOCK = 1 << 22
"""characters read at a time"""


def stream_list(path: Path, what: str, *, first: int = 1, longest: int = 1 << 26) -> Iterator[tuple[int, Any]]:
    """The elements of the JSON list in a file, numbered from `first`, without holding the list in memory.

    `what` names the elements in messages. Raises TaskDataError that names file and record where the file is missing,
    truncated, no list, or has a record of more than `longest` characters.
    """
    decoder = json.JSONDecoder()
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(BLOCK).lstrip("\ufeff \t\r\n")
            if not text.startswith("["):
                raise TaskDataError(f"{path}: not a JSON list of {what}")
            place, number = 1, first
            while True:
                place = _skip(text, place)
                if text[place : place + 1] == "]":
                    return
                try:
                    record, end = decoder.raw_decode(text, place)
                    if end == len(text):  # a number may go on in the next block
                        raise json.JSONDecodeError("may go on", text, end)
                except json.JSONDecodeError as error:
                    more = file.read(max(BLOCK, len(text) - place))
                    if not more:
                        raise TaskDataError(
                            f"{path}: record {number} is broken or cut off ({error.msg}); download the file again"
                        ) from error
                    if len(text) - place > longest:
                        raise TaskDataError(
                            f"{path}: record {number} is longer than {longest >> 20} MB or not JSON"
                        ) from error
                    text, place = text[place:] + more, 0
                    continue
                yield number, record
                number += 1
                place = end
    except (OSError, UnicodeDecodeError) as error:
        raise TaskDataError(f"{path}: cannot be read ({error})") from error
    except RecursionError as error:
        raise TaskDataError(f"{path}: a record is nested too deeply") from error


def _skip(text: str, place: int) -> int:
    while text[place : place + 1] in (" ", "\t", "\r", "\n", ","):
        place += 1
    return place
