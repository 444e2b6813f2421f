import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentx.tasks.database.scoring import is_correct, read_answer

V02, MAIN = "agentbench_v02", "agentbench_main"


@pytest.mark.parametrize(
    ("answer", "label", "v02", "main"),
    [
        ('["26"]', ["26"], True, True),
        ("26", ["26"], True, True),
        ("[26]", ["26.0"], True, True),
        ('["26.004"]', ["26"], False, True),
        ('["1,234"]', ["1234"], False, True),
        ('["12%"]', ["12"], False, True),
        ("Checco D'Angelo", ["Checco D'Angelo"], True, True),
        ('["b", "a"]', ["a", "b"], True, True),
        ('["a", "a", "b"]', ["a", "b"], True, True),
        ('["1", "2"]', ["2.001", "1"], False, True),
        ('["1", "1"]', ["1", "2"], False, False),
        ("[1, 2]", ["1", "2"], False, True),
        ('["none"]', ["none"], True, True),
        ('["0"]', ["none"], False, True),
        ("[]", ["a"], False, False),
        ("", ["a"], False, False),
        ('["a", "b"]', ["a"], False, False),
        ('[["a"], ["b"]]', ["a", "b"], False, False),
        ("[('a',)]", ["a"], False, False),
    ],
)
def test_both_comparisons(answer, label, v02, main):
    assert is_correct(answer, label, V02) is v02
    assert is_correct(answer, label, MAIN) is main


@pytest.mark.parametrize(
    "answer",
    [
        "__import__('os').abort()",
        "[print('evaluated') for _ in range(3)]",
        "[" * 100_000,
        "(" * 5_000 + ")" * 5_000,
        "[1" + "0" * 15_000 + "]",
        "9" * 10_000_000,
        "[1e999, -1e999, 'nan']",
        "{1: 2}",
        "[{}, set(), b'x', 1j, None, ...]",
        "\x00[1]",
        "\ud800",
    ],
)
def test_hostile_answers_are_compared_and_never_run(answer, capsys):
    for scoring in (V02, MAIN):
        for label in (["1"], ["a", "b"]):
            assert is_correct(answer, label, scoring) is False
    assert capsys.readouterr().out == ""


@given(st.text(), st.lists(st.text(), min_size=1, max_size=3))
def test_no_text_raises(answer, label):
    for scoring in (V02, MAIN):
        assert is_correct(answer, label, scoring) in (True, False)


def is_not_nan(text: str) -> bool:
    try:
        return float(text) == float(text)
    except ValueError:
        return True


@given(st.lists(st.text().filter(is_not_nan), min_size=1))
def test_a_label_answered_as_a_list_is_right(label):
    """But "nan", which as a number equals nothing, in the original as well."""
    assert read_answer(repr(label)) == label
    assert is_correct(repr(label), label, V02)
    assert is_correct(repr(label), label, MAIN)
