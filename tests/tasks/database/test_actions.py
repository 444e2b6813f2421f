import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentx.reasoning.styles import Style
from agentx.tasks.database import actions
from agentx.tasks.database.actions import Answer, Operation


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Operation\n```sql\nSELECT 1\n```", Operation("SELECT 1")),
        ("Operation\r\n```sql\r\nSELECT 1\r\n```", Operation("SELECT 1")),
        ("Operation\n```sql\nSELECT 1,\n  2\n```\nThat is it.", Operation("SELECT 1,\n  2", ("surrounding_text",))),
        ("Operation\n```sql\nA\n```\n```sql\nB\n```", Operation("A", ("several_blocks",))),
        ('Answer\nFinal Answer: ["a"]', Answer('["a"]')),
        ("Answer\nSo:\nFinal Answer: 5", Answer("5", ("surrounding_text",))),
        ("Reply\nFinal Answer: 5", Answer("5", ("action_word",))),
        ("Answer\nFinal Answer:", Answer("")),
    ],
)
def test_what_is_read(text, expected):
    assert actions.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "SELECT 1",
        "Operation",
        "Operation\nSELECT 1",
        "Operation\n```\nSELECT 1\n```",
        "Operation\n```sql\nSELECT 1",
        "Operation\n```sql\n```",
        "operation\n```sql\nSELECT 1\n```",
        "Answer",
        "Answer\nThe final answer is 5",
        "Operation\nFinal Answer: 5",
    ],
)
def test_what_is_not_in_the_form_is_nothing(text):
    assert actions.parse(text) is None


@given(st.lists(st.text(st.characters(exclude_categories=["C"], exclude_characters="\x85\u2028\u2029"))))
def test_answers_come_back(values):
    said = actions.parse(actions.answer(values))
    assert said == Answer(repr(values))


@given(st.text("SELECT *'`\n;", min_size=1).map(str.strip).filter(lambda s: s and "\n```" not in f"\n{s}"))
def test_operations_survive_every_style(statement):
    for name in ("io", "cot", "react"):
        style = Style(name, multiline=True)
        written = style.parse(style.render("I look.", actions.operation(statement))).action
        assert actions.parse(written) == Operation(statement)


@given(st.text())
def test_any_text_is_survived(text):
    actions.parse(text)
    actions.parse(f"Operation\n{text}")


def test_ten_megabytes_of_openings_take_linear_time():
    started = time.process_time()
    assert actions.parse("Operation\n```sql\n" + "x```sql\nx" * 1_000_000) is None
    assert time.process_time() - started < 5, "quadratic would take hours"
