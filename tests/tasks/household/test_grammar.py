"""Grammars come with downloaded files: what they may say and what they may not."""

from types import SimpleNamespace

import pytest

from agentx.tasks.environment import TaskDataError
from agentx.tasks.household.grammar import Scope, _evaluate

SCOPE = Scope(None, {}, {"r": SimpleNamespace(name=None, id="desk-1", indefinite="a", secret="s")}, {})


@pytest.mark.parametrize(
    ("expression", "value"),
    [("r.id", "desk-1"), (" r.name or r.id ", "desk-1"), ("r.indefinite + ' ' + r.id", "a desk-1")],
)
def test_expressions_that_grammars_use(expression, value):
    assert _evaluate(expression, SCOPE) == value


@pytest.mark.parametrize(
    "expression",
    [
        "().__class__.__base__.__subclasses__()",
        "r.__class__",
        "__import__('os').system('true')",
        "r.id * 10**9",
        "[x for x in r.id]",
        "(lambda: 1)()",
        "f'{r}'",
        "nobody.name",
        "r.id +",
        "",
    ],
)
def test_anything_else_is_refused_with_the_expression(expression):
    with pytest.raises(TaskDataError, match="grammar:"):
        _evaluate(expression, SCOPE)
