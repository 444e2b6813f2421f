"""TextWorld's text grammars without its repeated work.

A game's grammar decides every word an agent reads. The stock deriver (`textworld.envs.pddl.textgen`) parses each
template anew with a generated parser whenever it is used, and deep-copies a context for every symbol. Here each text
is parsed once, by the same parsers, and contexts are shared because nothing changes them. Which rule applies and what
a query matches is still found by TextWorld's own `State.all_assignments`.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from textworld.envs.pddl import logic as pddl_logic
from textworld.envs.pddl import textgen
from textworld.logic import Rule

from agentx.tasks.environment import TaskDataError

_TASK_SENTENCE = re.compile(r'"Your task is to: (?:[^"\\]|\\.)*"')
_LIST_SYMBOLS = ("list_empty", "list_separator", "list_last_separator")
_ANY_TASK = '"Your task is to: ."'


@dataclass(frozen=True)
class ActionText:
    """How the grammar words an action: the command's template and the start symbol of its feedback."""

    template: str
    feedback: str


@dataclass(frozen=True)
class Scope:
    """What a symbol is derived in. Shared between symbols, so never changed in place."""

    state: Any
    """a `textworld.logic.State`"""
    entities: Mapping[str, Any]
    """entity id -> EntityInfo"""
    variables: dict[str, Any]
    """placeholder name -> EntityInfo"""
    mapping: dict[Any, Any]
    """Placeholder -> Variable"""

    def matches(self, condition: str) -> list[Scope]:
        """This scope extended by every assignment that satisfies the conjunctive query, in TextWorld's order."""
        found = []
        for assignment in self.state.all_assignments(_query(condition), self.mapping):
            names = {placeholder.name: self.entities[variable.name] for placeholder, variable in assignment.items()}
            found.append(Scope(self.state, self.entities, self.variables | names, self.mapping | assignment))
        return found

    def satisfies(self, condition: str) -> bool:
        return any(True for _ in self.state.all_assignments(_query(condition), self.mapping))


@dataclass(frozen=True)
class Grammar:
    """The parsed text part of a game."""

    actions: dict[str, ActionText]
    """by lower-cased action name"""
    rules: dict[str, list[dict[str, Any]]]
    """symbol -> alternatives with `rhs` and perhaps `condition`; the first whose condition holds is taken"""

    def derive(self, start: str, scope: Scope) -> str:
        """The text of a template, e.g. '#look.feedback#'. Raises TaskDataError on a symbol without a rule."""
        pieces: list[str] = []
        stack: list[tuple[Any, Scope]] = [(symbol, scope) for symbol in reversed(_symbols(start))]
        while stack:
            symbol, scope = stack.pop()
            if isinstance(symbol, textgen.TerminalSymbol):
                pieces.append(str(symbol.symbol))
            elif isinstance(symbol, textgen.NonterminalSymbol):
                stack.extend((part, scope) for part in reversed(self._replacement(symbol.symbol, scope)))
            elif isinstance(symbol, textgen.EvalSymbol):
                pieces.append(str(_evaluate(symbol.expression, scope)))
            elif isinstance(symbol, textgen.ConditionalSymbol):
                stack.extend(reversed(_instances(symbol, scope)))
            elif isinstance(symbol, textgen.ListSymbol):
                stack.extend(reversed(_enumeration(_instances(symbol.symbol, scope), scope)))
            else:
                raise TaskDataError(f"grammar: cannot derive {symbol!r} in {start!r}")
        return "".join(pieces)

    def predicates(self, template: str) -> frozenset[str]:
        """Every predicate that the text of a template can depend on."""
        found: set[str] = set()
        pending, seen = list(_symbols(template)), set()
        while pending:
            symbol = pending.pop()
            if isinstance(symbol, textgen.ListSymbol):
                pending += [symbol.symbol, *map(textgen.NonterminalSymbol, _LIST_SYMBOLS)]
            elif isinstance(symbol, textgen.ConditionalSymbol):
                pending.append(symbol.expression)
                found |= _predicates_of(symbol.given)
            elif isinstance(symbol, textgen.NonterminalSymbol) and symbol.symbol not in seen:
                seen.add(symbol.symbol)
                for rule in self.rules.get(symbol.symbol, ()):
                    pending += _symbols(rule["rhs"])
                    found |= _predicates_of(rule.get("condition"))
        return frozenset(found)

    def _replacement(self, symbol: str, scope: Scope) -> tuple[Any, ...]:
        for rule in self.rules.get(symbol, ()):
            condition = rule.get("condition", "")
            if not condition or scope.satisfies(condition):
                return _symbols(rule["rhs"])
        reason = "no alternative fits" if symbol in self.rules else "is not defined"
        raise TaskDataError(f"grammar: symbol #{symbol}#: {reason}; domain and grammar may be of different versions")


def parse_grammar(text: str) -> Grammar:
    """Parse the `grammar` entry of a game (TextWorld's .twl2 format). Raises TaskDataError when it is broken."""
    sentences = _TASK_SENTENCE.findall(text)
    if len(sentences) != 1:
        return _parse(text)
    # The grammars of a data set's games differ in the task sentence alone: parse the rest once for all of them.
    common = _parse(_TASK_SENTENCE.sub(_ANY_TASK, text))
    sentence = json.loads(sentences[0])
    rules = {
        symbol: [{**rule, "rhs": sentence} if rule.get("rhs") == json.loads(_ANY_TASK) else rule for rule in rules]
        for symbol, rules in common.rules.items()
    }
    return Grammar(common.actions, rules)


@lru_cache(maxsize=32)
def _parse(text: str) -> Grammar:
    try:
        actions, rules = _Reader().walk(pddl_logic._PARSER.parse(text, rule_name="pddlStart"))
    except Exception as error:  # the generated parser and the JSON inside the grammar raise many kinds
        raise TaskDataError(f"grammar: {str(error).splitlines()[0]}") from error
    return Grammar(actions, rules)


class _Reader(pddl_logic._ModelConverter):
    """The stock reader, but leaves the rules' right-hand sides unparsed: most are never used."""

    def walk_PddlDocumentNode(self, node: Any) -> tuple[dict[str, ActionText], dict[str, list[dict[str, Any]]]]:
        actions: dict[str, ActionText] = {}
        rules: dict[str, list[dict[str, Any]]] = {}
        for part in node.parts:
            if isinstance(part, pddl_logic.model.ActionTypeNode):
                action = self.walk(part)
                actions[action.name.lower()] = ActionText(action.template, action.feedback_rule)
                lines = action.grammar.split("\n")
                rules.update(json.loads("\n".join(line for line in lines if not line.lstrip().startswith("#"))))
            elif isinstance(part, pddl_logic.model.ActionGrammarNode):
                rules.update(json.loads(self._unescape_block(part.code)))
        return actions, rules


@lru_cache(maxsize=4096)
def _symbols(text: str) -> tuple[Any, ...]:
    return tuple(textgen._parse_and_convert(text, rule_name="symbols"))


@lru_cache(maxsize=4096)
def _query(expression: str) -> Any:
    return Rule.parse_conjunctive_query(expression)


@lru_cache(maxsize=4096)
def _expression(text: str) -> ast.expr:
    return ast.parse(text.strip(), "<grammar>", "eval").body


def _evaluate(expression: str, scope: Scope) -> Any:
    """Grammars come with downloaded games, so their expressions (`o.name`, `r.name or r.id`) are read, never run as
    code: names in scope, their public attributes, texts, `or` and `+`."""
    try:
        return _value(_expression(expression), scope.variables)
    except Exception as error:
        raise TaskDataError(f"grammar: {{{expression}}}: {error}") from error


def _value(node: ast.expr, variables: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return variables[node.id]
    if isinstance(node, ast.Attribute) and not node.attr.startswith("_"):
        return getattr(_value(node.value, variables), node.attr)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
        return next(filter(None, (_value(value, variables) for value in node.values)), "")
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _value(node.left, variables), _value(node.right, variables)
        if isinstance(left, str) and isinstance(right, str):
            return left + right
    raise ValueError(f"{ast.unparse(node)} is not an expression that a grammar may hold")


def _instances(symbol: Any, scope: Scope) -> list[tuple[Any, Scope]]:
    scopes: Iterable[Scope] = scope.matches(symbol.given) if symbol.given else (scope,)
    return [(symbol.expression, each) for each in scopes]


def _enumeration(items: list[tuple[Any, Scope]], scope: Scope) -> list[tuple[Any, Scope]]:
    """Items with the grammar's own separators between them, or its word for none."""
    if not items:
        return [(textgen.NonterminalSymbol("list_empty"), scope)]
    listed = [items[0]]
    for position, item in enumerate(items[1:], start=2):
        separator = "list_last_separator" if position == len(items) else "list_separator"
        listed += [(textgen.NonterminalSymbol(separator), scope), item]
    return listed


def _predicates_of(condition: str | None) -> set[str]:
    return {predicate.name for predicate in _query(condition).preconditions} if condition else set()
