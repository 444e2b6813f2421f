"""From the text of a `game.tw-pddl` file to a `Game` that can be loaded into the C library any number of times.

The stock player translates a game's PDDL four times for one episode; here that happens once a game, and the last games
are kept.
"""

from __future__ import annotations

import gc
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fast_downward
from fast_downward.translate.pddl.conditions import Atom as ConditionAtom
from fast_downward.translate.pddl.f_expression import Assign
from textworld.envs.pddl.logic import PddlState
from textworld.generator.game import EntityInfo
from textworld.logic import Placeholder, Proposition, Type, TypeHierarchy, Variable

from agentx.tasks.environment import TaskDataError
from agentx.tasks.household.grammar import Grammar, Scope, parse_grammar
from agentx.tasks.household.library import give_library_back, take_library

_GAMES_KEPT = 32


class Facts(PddlState):
    """TextWorld's own store of facts (it answers the grammar's queries), filled without translating again."""

    def __init__(self, types: TypeHierarchy) -> None:
        self._logic = SimpleNamespace(types=types)
        self._facts: Any = defaultdict(set)
        self._vars_by_name: Any = {}
        self._vars_by_type: Any = defaultdict(set)
        self._var_counts: Any = Counter()

    def duplicate(self) -> Facts:
        other = Facts(self._logic.types)
        other._facts.update((signature, set(facts)) for signature, facts in self._facts.items())
        other._vars_by_name.update(self._vars_by_name)
        other._vars_by_type.update((kind, set(variables)) for kind, variables in self._vars_by_type.items())
        other._var_counts.update(self._var_counts)
        return other


@dataclass(frozen=True)
class Game:
    """A translated game: everything that is the same in all its episodes."""

    sas: bytes
    types_by_name: dict[str, str]
    parameters: dict[str, list[Any]]
    """action name -> Placeholders in order"""
    changing: frozenset[str]
    """predicates that some action's effect names"""
    facts: Facts
    entities: dict[str, Any]
    grammar: Grammar
    _predicates: dict[str, frozenset[str]] = field(default_factory=dict)

    def predicates(self, template: str) -> frozenset[str]:
        """What the wording of a command depends on; a negated fact changes with its opposite."""
        if template not in self._predicates:
            names = self.grammar.predicates(template)
            self._predicates[template] = frozenset(name.removeprefix("not_") for name in names)
        return self._predicates[template]

    def scope(self, facts: Facts, mapping: dict[Any, Any]) -> Scope:
        variables = {placeholder.name: self.entities[variable.name] for placeholder, variable in mapping.items()}
        return Scope(facts, self.entities, variables, mapping)


def game_texts(game: Mapping[str, Any] | Path | str) -> tuple[str, str, str]:
    """Domain, problem and grammar of a game or of the file it is in. Raises TaskDataError when one is missing."""
    where = "game"
    if isinstance(game, Path | str):
        where = str(game)
        try:
            game = json.loads(Path(game).read_text(encoding="utf-8"))
        except OSError as error:
            raise TaskDataError(f"{where}: {error.strerror or error}") from error
        except ValueError as error:
            raise TaskDataError(f"{where}: not valid JSON ({error}); fetch the file again") from error
    if not isinstance(game, Mapping):
        raise TaskDataError(f"{where}: expected a JSON object with pddl_domain, pddl_problem and grammar")
    texts = [game.get(key) for key in ("pddl_domain", "pddl_problem", "grammar")]
    for key, text in zip(("pddl_domain", "pddl_problem", "grammar"), texts, strict=True):
        if not isinstance(text, str):
            raise TaskDataError(f"{where}: no text under {key!r}; it is not a game.tw-pddl file of ALFWorld")
    return texts[0], texts[1], texts[2]  # type: ignore[return-value]


@lru_cache(maxsize=_GAMES_KEPT)
def compile_game(domain: str, problem: str, grammar_text: str) -> Game:
    """Translate a game; the last ones asked for are kept. Hold the library's lock.

    Raises TaskDataError when domain, problem or grammar is broken.
    """
    grammar = parse_grammar(grammar_text)
    task, sas = _translate(domain, problem)
    types = TypeHierarchy()
    for kind in task.types:
        with suppress(ValueError):  # a domain may declare 'object', which PDDL has already; the first stands
            types.add(Type(kind.name, kind.supertype_names))
    types_by_name = {thing.name: thing.type_name for thing in task.objects}
    facts = Facts(types)
    facts.add_facts(fact for atom in task.init if (fact := _initial_fact(atom, types_by_name)) is not None)

    library = take_library(sas)
    atoms = (fast_downward.Atom * library.get_state_size())()
    library.get_state(atoms)
    give_library_back(library)
    held = [parsed_fact(atom.name, types_by_name) for atom in atoms]
    facts.add_facts(fact for fact in held if not fact.is_negation)

    return Game(
        sas=sas,
        types_by_name=types_by_name,
        parameters={
            action.name: [Placeholder(each.name.strip("?"), each.type_name) for each in action.parameters]
            for action in task.actions
        },
        changing=frozenset(effect.literal.predicate for action in task.actions for effect in action.effects),
        facts=facts,
        entities=_entities(facts),
        grammar=grammar,
    )


def _translate(domain: str, problem: str) -> tuple[Any, bytes]:
    """PDDL to Fast Downward's planning task, by its own translator."""
    arguments, output, collecting = sys.argv, sys.stdout, gc.isenabled()
    gc.disable()  # the translator makes a hundred thousand objects at once, and hardly a cycle among them
    try:
        task, sas = fast_downward.pddl2sas(domain, problem)
    except (Exception, SystemExit) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TaskDataError(f"game: the PDDL cannot be translated: {reason}") from error
    finally:
        sys.argv, sys.stdout = arguments, output
        if collecting:
            gc.enable()
    return task, sas.encode("utf-8")


def fact_of(name: str, arguments: Iterable[Variable]) -> Any:
    """A Proposition outside TextWorld's memo of all propositions ever made, which is never emptied: it is most of
    what the stock player leaks with every game."""
    return type.__call__(Proposition, name, arguments)


def _initial_fact(atom: Any, types_by_name: dict[str, str]) -> Any:
    """The fact that an entry of the problem's init states, or None for those no text mentions."""
    if isinstance(atom, ConditionAtom) and atom.predicate != "=":
        return fact_of(atom.predicate, [Variable(name, types_by_name[name]) for name in atom.args])
    if isinstance(atom, Assign) and atom.fluent.symbol != "total-cost":
        name = str(atom.expression.value)
        if not name.isdigit():  # a number is a distance
            return fact_of(name, [Variable(argument, types_by_name[argument]) for argument in atom.fluent.args])
    return None


def parsed_fact(atom: str, types_by_name: dict[str, str]) -> Any:
    """From 'Atom holds(agent1, mug)' or 'NegatedAtom …', as the library prints facts."""
    sign, rest = atom.split(" ", 1)
    name, arguments = rest[:-1].split("(", 1)
    variables = [Variable(argument, types_by_name[argument]) for argument in arguments.split(", ") if argument]
    return fact_of(f"not_{name}" if sign == "NegatedAtom" else name, variables)


def _entities(facts: Facts) -> dict[str, Any]:
    """Shown names, as ALFWorld's demangler gives them: class and number, the numbers of a class falling in the order
    of the ids. An id without '_bar_' (e.g. agent1, muttype) is shown as it is, followed by a space."""
    identifiers = sorted({variable.name: variable.type for fact in facts.facts for variable in fact.arguments}.items())
    kinds = {identifier: _shown_kind(identifier) for identifier, _ in identifiers}
    left = Counter(kind for identifier, kind in kinds.items() if "_bar_" in identifier)
    entities = {}
    for identifier, type_name in identifiers:
        info = EntityInfo(identifier, type_name)
        info.definite, info.indefinite = "the", "a"
        kind = kinds[identifier]
        if "_bar_" in identifier:
            info.name = f"{kind} {left[kind]}"
            left[kind] -= 1
        else:
            info.name = f"{kind} "
        entities[identifier] = info
    return entities


def _shown_kind(identifier: str) -> str:
    if "_bar_" not in identifier:
        for spelled, plain in (("_minus_", "-"), ("_plus_", "+"), ("_dot_", "."), ("_comma_", ",")):
            identifier = identifier.replace(spelled, plain)
        return identifier
    kind = identifier.split("_bar_", 1)[0]
    return f"{kind}basin" if "basin" in identifier else kind
