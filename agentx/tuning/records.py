"""One record to one conversation: ShareGPT and AgentInstruct, alpaca, prompt and completion, OpenAI messages, Guanaco's
marked text, and our own form. The form is told from the record's keys, so that a file may mix several.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agentx.conversation import Conversation, Message, Role

SPEAKERS: dict[str, Role] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "assistant": "assistant",
}


QUESTION_AND_ANSWER = (
    (("instruction",), ("output", "response", "completion")),
    (("prompt", "question"), ("completion", "response", "answer")),
)
"""Keys of one exchange: alpaca's and its relatives', then prompt and completion."""

GUANACO = re.compile(r"### (Human|Assistant):")


class RecordError(Exception):
    """Why a record is no conversation; the reader adds file and place."""


def parse_record(record: Any, source: str = "", id: str = "") -> Conversation:
    """One record of any known form; `source` and `id` stand in where it brings none.

    Of an AgentInstruct or ShareGPT record every agent turn is trained unless its `loss` is false; of OpenAI
    messages, unless their `weight` is 0; of our own form, the turns marked `trained` (all agent turns where no
    message is marked). Raises RecordError.
    """
    if not isinstance(record, Mapping):
        raise RecordError(f"a record must be an object, this is {kind(record)}")
    if record.get("conversations") is not None:
        messages = _turns(record["conversations"], "conversations")
    elif record.get("messages") is not None:
        messages = _turns(record["messages"], "messages")
    elif (keys := _exchange_keys(record)) is not None:
        messages = _exchange(record, *keys)
    elif isinstance(record.get("text"), str) and GUANACO.match(record["text"]):
        messages = _marked_text(record["text"])
    else:
        found = ", ".join(map(str, list(record)[:6])) or "no keys"
        raise RecordError(f"has {found}, and neither conversations, nor messages, nor instruction and output")
    source = str(record.get("source") or source)
    id = str(record["id"]) if record.get("id") is not None else id
    if not any(message.trained for message in messages):
        raise RecordError(f"conversation {id} has no agent turn to train")
    metadata = record.get("metadata")
    return Conversation(tuple(messages), source, id, dict(metadata) if isinstance(metadata, Mapping) else {})


def _turns(turns: Any, key: str) -> list[Message]:
    if not isinstance(turns, list) or not turns:
        raise RecordError(f"{key} must be a list of turns, this is {kind(turns)}")
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
    raise RecordError(f"turn {number}: its text must be a string, this is {kind(content)}")


def _exchange_keys(record: Mapping[str, Any]) -> tuple[str, str] | None:
    """The keys that hold question and answer."""
    for questions, answers in QUESTION_AND_ANSWER:
        question = next((key for key in questions if record.get(key) is not None), None)
        answer = next((key for key in answers if record.get(key) is not None), None)
        if question and answer:
            return question, answer
    return None


def _exchange(record: Mapping[str, Any], question: str, answer: str) -> list[Message]:
    """One exchange with what alpaca's form may bring beside it: input, system and history (pairs, not trained)."""
    given = record.get("input") or ""
    for key, part in ((question, record[question]), ("input", given), (answer, record[answer])):
        if not isinstance(part, str):
            raise RecordError(f"{key} must be a string, this is {kind(part)}")
    asked = f"{record[question]}\n\n{given}" if given.strip() else record[question]
    messages = []
    if record.get("system"):
        messages.append(Message("system", _text(record["system"], 0)))
    for number, pair in enumerate(record.get("history") or [], start=1):
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise RecordError(f"history: exchange {number} is no pair of strings")
        messages += [Message("user", pair[0]), Message("assistant", pair[1])]
    return [*messages, Message("user", asked), Message("assistant", record[answer], trained=True)]


def _marked_text(text: str) -> list[Message]:
    """Guanaco's form: a single text in which `### Human:` and `### Assistant:` begin the turns."""
    _, *parts = GUANACO.split(text)
    roles: dict[str, Role] = {"Human": "user", "Assistant": "assistant"}
    turns = [(roles[speaker], content.strip()) for speaker, content in zip(parts[::2], parts[1::2], strict=True)]
    return [Message(role, content, trained=role == "assistant") for role, content in turns]


def kind(value: Any) -> str:
    names = {type(None): "null", bool: "true or false", str: "a string", dict: "an object"}
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return names.get(type(value), f"a {type(value).__name__}")
