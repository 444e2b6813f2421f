from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentx.tasks.mind2web.answers import Answer, read_action, read_agentbench, written

VALUES = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), max_size=30).map(str.strip)


@given(st.sampled_from("BCDEF"), st.sampled_from(["TYPE", "SELECT"]), VALUES)
def test_what_is_written_is_read(letter: str, operation: str, value: str) -> None:
    assert read_action(written(letter, f"{operation} {value}")) == Answer(letter, f"{operation} {value}")
    assert read_action(written("A", "")) == Answer("A", "")
    assert read_action(written(letter, "CLICK ")) == Answer(letter, "CLICK ")


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    for answer in (read_action(text), read_agentbench(text), read_agentbench(text, whole_letters=True)):
        assert answer.letter in "ABCDEF"
        assert answer.readable or answer.letter == "A"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, Answer("A", "", False)),
        ("", Answer("A", "", False)),
        ("Zebra", Answer("A", "", False)),
        ("Click the button", Answer("A", "", False)),
        ("b click", Answer("B", "CLICK ", True, ("letter_case", "operation_case"))),
        ("C. TYPE: New York", Answer("C", "TYPE New York", True, ("punctuation",))),
        ("B CLICK the button", Answer("B", "CLICK ", True, ("value_of_click",))),
        ("D", Answer("D", "", True, ("no_operation",))),
        ("D HOVER", Answer("D", "", True, ("no_operation",))),
        ("A none of these", Answer("A", "", True, ("trailing_text",))),
        ("E TYPED x", Answer("E", "", True, ("no_operation",))),
    ],
)
def test_one_line_actions(text: str | None, expected: Answer) -> None:
    assert read_action(text) == expected


def test_corrected_reading_takes_whole_letters_only() -> None:
    assert read_agentbench("Answer: Definitely C").letter == "D"
    assert not read_agentbench("Answer: Definitely C", whole_letters=True).readable
    assert read_agentbench("Answer: (C)\nAction: CLICK", whole_letters=True) == Answer("C", "CLICK ")
