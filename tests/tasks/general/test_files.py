"""Questions of the user's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentx.tasks.environment import TaskDataError
from agentx.tasks.general.files import read_questions
from agentx.tasks.general.questions import is_right

GOOD = {"question": "2 + 2?", "answer": 4}


def written(folder: Path, *records: Any) -> Path:
    path = folder / "mine.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return path


@pytest.mark.parametrize("as_list", [False, True])
def test_records_of_every_kind(tmp_path: Path, as_list: bool) -> None:
    records = [
        GOOD,
        {"question": "Capital?", "answer": ["Paris", "paris"], "scoring": "contains", "skill": "geography"},
        {"question": "Which?", "answer": "B", "choices": ["red", "blue"]},
        {"question": "Which one?", "answer": 0, "choices": ["red", "blue"], "scoring": "choice"},
        {"question": "Sum?", "answer": 7, "scoring": "number"},
        {"question": "1 + 1?", "answer": 2, "example": True},
    ]
    path = written(tmp_path, *records)
    if as_list:
        path.write_text("\ufeff" + json.dumps(records, indent=1), encoding="utf-8")
    asked, shown = read_questions(path)
    assert [question.scoring for question in asked] == ["exact", "contains", "choice", "choice", "number"]
    assert [question.answers for question in asked] == [("4",), ("Paris", "paris"), ("blue",), ("red",), ("7",)]
    assert {question.skill for question in asked} == {"mine", "geography"}
    assert [question.text for question in shown] == ["1 + 1?"]
    assert asked[2].expected == "B" and is_right(asked[2], "b")


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ([1], "is no JSON object"),
        ({"answer": "x"}, "field question: must be a text, not empty"),
        ({"question": " ", "answer": "x"}, "field question"),
        ({"question": "?"}, "field answer: must be a text or a number"),
        ({"question": "?", "answer": []}, "field answer: is an empty list"),
        ({"question": "?", "answer": [{}]}, "field answer"),
        ({"question": "?", "answer": True}, "field answer"),
        ({"question": "?", "anser": "x"}, "field anser: no such field; did you mean answer?"),
        ({"question": "?", "answer": "x", "scoring": "exakt"}, "field scoring: must be one of exact.*mean exact?"),
        ({"question": "?", "answer": "x", "scoring": "number"}, "field answer: scoring=number needs a number"),
        ({"question": "?", "answer": "x", "scoring": "choice"}, "field choices: scoring=choice needs them"),
        ({"question": "?", "answer": "x", "choices": ["y", "z"]}, "field answer: 'x' is none of the choices"),
        ({"question": "?", "answer": 2, "choices": ["y", "z"]}, "field answer: '2' is none"),
        ({"question": "?", "answer": "y", "choices": ["y"]}, "field choices: must be a list of 2 to 26"),
        ({"question": "?", "answer": "y", "choices": ["y", "y"]}, "field choices: two options are the same"),
        ({"question": "?", "answer": "y", "choices": ["y", "z"], "scoring": "exact"}, "field scoring: with choices"),
        ({"question": "?", "answer": "x", "example": "yes"}, "field example: must be true or false"),
        ({"question": "?", "answer": "x", "skill": 3}, "field skill"),
        ({"question": "x" * 200_001, "answer": "x"}, "field question: has 200,001 characters"),
        (GOOD, "field question: the same as record 1"),
    ],
)
def test_a_bad_record_is_named_in_one_line(tmp_path: Path, record: Any, problem: str) -> None:
    path = written(tmp_path, GOOD, record)
    with pytest.raises(TaskDataError, match=rf"mine\.jsonl: record 2.*{problem.replace('?', '.')}") as raised:
        read_questions(path)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 300


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"question": "?", "answer": "x"}\n{"question": ', r"record 2 \(line 2\) is no JSON"),
        (b'[{"question": "?"', "is no JSON list"),
        (b"[" * 100_000, "is no JSON list"),
        (b"\xff\xfe", "not UTF-8"),
        (b"", "holds no question"),
        (b"[]", "holds no question"),
        (b'{"question": "?", "answer": "x", "example": true}', "holds no question"),
        (b"question,answer", r"record 1 \(line 1\) is no JSON"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(content)
    with pytest.raises(TaskDataError, match=problem) as raised:
        read_questions(path)
    assert "\n" not in str(raised.value) and "mine.json" in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaskDataError, match=r"task\.path=.*nowhere\.json: cannot be read"):
        read_questions(tmp_path / "nowhere.json")


@given(st.text(min_size=1, max_size=20).filter(str.strip), st.integers() | st.text(min_size=1).filter(str.strip))
def test_what_is_written_is_read_and_its_answer_is_right(tmp_path_factory, text: str, answer: Any) -> None:
    path = written(tmp_path_factory.mktemp("file"), {"question": text, "answer": answer})
    ((question,), _) = read_questions(path)
    assert question.text == text
    assert is_right(question, str(answer))


def test_a_changed_question_is_another_sample(tmp_path: Path) -> None:
    ids = [read_questions(written(tmp_path, {**GOOD, "answer": answer}))[0][0].id for answer in (4, 5, 4)]
    assert ids[0] == ids[2] != ids[1]
