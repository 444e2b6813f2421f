"""Questions of the user's own: a JSON list, or JSON lines, of records.

A record has `question` (text) and `answer` (text or number, or a list of those that are right), and may have `choices`
(the options' texts; the answer is then the right one's text, letter or number from 0), `scoring` (exact, contains,
number or choice; without it choice where there are choices, else exact), `skill` (a name, to be scored apart) and
`example` (true: a worked example for method.shots, never asked).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast, get_args

from agentx.errors import did_you_mean
from agentx.tasks.environment import TaskDataError
from agentx.tasks.general.questions import LETTERS, Question, Scoring, last_number

SCORINGS: tuple[str, ...] = get_args(Scoring)
FIELDS = ("question", "answer", "choices", "scoring", "skill", "example", "id")
LONGEST = 200_000
"""characters of a text in a record"""


def read_questions(path: Path) -> tuple[list[Question], list[Question]]:
    """(questions, worked examples) in the file's order.

    Raises TaskDataError naming file, record (from 1) and field.
    """
    asked: list[Question] = []
    shown: list[Question] = []
    places: dict[str, int] = {}
    for number, record in _records(path):
        where = f"{path}: record {number}"
        if not isinstance(record, Mapping):
            raise TaskDataError(f"{where} is no JSON object with question and answer")
        question = _question(record, where, path.stem)
        if question.id in places:
            raise TaskDataError(f"{where}, field question: the same as record {places[question.id]}; remove one")
        places[question.id] = number
        example = record.get("example", False)
        if not isinstance(example, bool):
            raise TaskDataError(f"{where}, field example: must be true or false")
        (shown if example else asked).append(question)
    if not asked:
        raise TaskDataError(f"{path}: holds no question to ask")
    return asked, shown


def _records(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise TaskDataError(f"task.path={path}: cannot be read ({reason})") from error
    if text.lstrip().startswith("["):
        records = _parsed(text, f"{path}: is no JSON list")
        yield from enumerate(records, 1)
        return
    number = 0
    for place, line in enumerate(text.split("\n"), 1):
        if line.strip():
            number += 1
            yield number, _parsed(line, f"{path}: record {number} (line {place}) is no JSON")


def _parsed(text: str, problem: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TaskDataError(f"{problem} ({str(error)[:100]}); mend it or leave it out") from error


def _question(record: Mapping[str, Any], where: str, source: str) -> Question:
    unknown = next((str(name) for name in record if name not in FIELDS), None)
    if unknown is not None:
        hint = did_you_mean(unknown, FIELDS) or f"; there is {', '.join(FIELDS)}"
        raise TaskDataError(f"{where}, field {unknown[:40]}: no such field{hint}")
    text = _text(record.get("question"), f"{where}, field question")
    skill = _text(record.get("skill", source), f"{where}, field skill")
    choices = _choices(record.get("choices"), where)
    scoring = record.get("scoring") or ("choice" if choices else "exact")
    if scoring not in SCORINGS:
        hint = did_you_mean(str(scoring), SCORINGS)
        raise TaskDataError(f"{where}, field scoring: must be one of {', '.join(SCORINGS)}{hint}")
    if (scoring == "choice") != bool(choices):
        missing = "choices: scoring=choice needs them" if not choices else "scoring: with choices it must be choice"
        raise TaskDataError(f"{where}, field {missing}")
    answers = _answers(record.get("answer"), choices, where)
    if scoring == "number" and any(last_number(answer) is None for answer in answers):
        raise TaskDataError(f"{where}, field answer: scoring=number needs a number")
    content = json.dumps([text, answers, choices, scoring, skill], ensure_ascii=True)
    name = f"{source}-{hashlib.blake2b(content.encode(), digest_size=8).hexdigest()}"
    return Question(name, skill, text, answers, choices, cast(Scoring, scoring))


def _choices(given: Any, where: str) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or not 2 <= len(given) <= len(LETTERS):
        raise TaskDataError(f"{where}, field choices: must be a list of 2 to {len(LETTERS)} options")
    choices = tuple(_text(choice, f"{where}, field choices") for choice in given)
    if len(set(choices)) < len(choices):
        raise TaskDataError(f"{where}, field choices: two options are the same")
    return choices


def _answers(given: Any, choices: tuple[str, ...], where: str) -> tuple[str, ...]:
    field = f"{where}, field answer"
    found = given if isinstance(given, list) else [given]
    if not found:
        raise TaskDataError(f"{field}: is an empty list")
    if not choices:
        return tuple(_text(answer, field, numbers=True) for answer in found)
    return tuple(_option(answer, choices, field) for answer in found)


def _option(answer: Any, choices: tuple[str, ...], field: str) -> str:
    """The option's text: given as such, as its letter, or as its number from 0."""
    if isinstance(answer, str) and answer in choices:
        return answer
    index = answer if isinstance(answer, int) and not isinstance(answer, bool) else -1
    if isinstance(answer, str) and len(answer) == 1:
        index = LETTERS.find(answer)
    if not 0 <= index < len(choices):
        raise TaskDataError(f"{field}: {str(answer)[:40]!r} is none of the choices, nor a letter or number (from 0)")
    return choices[index]


def _text(value: Any, field: str, *, numbers: bool = False) -> str:
    if numbers and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise TaskDataError(f"{field}: must be a text{' or a number' if numbers else ''}, not empty")
    if len(value) > LONGEST:
        raise TaskDataError(f"{field}: has {len(value):,} characters, more than {LONGEST:,}")
    return value
