"""A fast player of `game.tw-pddl` games on TextWorld's PDDL engine.

The rules of the world are Fast Downward's C library, the texts are the game's grammar, as in the stock
`textworld.envs.PddlEnv`; this player gives the same observations and admissible commands, byte for byte. What it
leaves out is repeated work: the stock player translates a game's PDDL four times for one episode and parses templates
at every step. Here a game is translated once, commands whose wording cannot change are worded once, and an episode
starts again by setting the library's state back.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fast_downward
from textworld.logic import Variable

from agentx.tasks.environment import TaskDataError
from agentx.tasks.household.library import LOCK, give_library_back, take_library
from agentx.tasks.household.translation import Facts, Game, compile_game, fact_of, game_texts, parsed_fact

NOTHING_HAPPENS = "Nothing happens."


@dataclass(frozen=True)
class EngineState:
    """What the game shows after a reset or a step. `valid` is False where the command was not admissible."""

    feedback: str
    admissible: tuple[str, ...]
    """sorted, without duplicates"""
    won: bool
    valid: bool = True


class Engine:
    """One game in play.

    Several engines may be used from one thread or many; a process-wide lock serialises them. `close` gives the C
    library back for the next game, and an engine that is not closed does so when it is collected.

    Raises TaskDataError when the game cannot be read or its parts do not fit together.
    """

    def __init__(self, game: Mapping[str, Any] | Path | str) -> None:
        domain, problem, grammar = game_texts(game)
        with LOCK:
            self._game = compile_game(domain, problem, grammar)
            self._world: _World | None = _World(self._game)
            self._facts = self._game.facts.duplicate()
            self._position = self._world.start
            self._operators: dict[str, tuple[int, int]] = {}

    def reset(self) -> EngineState:
        """The initial state; may be called at any time."""
        with LOCK:
            world = self._open_world()
            self._facts = self._game.facts.duplicate()
            self._position = world.start
            feedback = self._game.grammar.derive("#intro#", self._game.scope(self._facts, {}))
            return self._look_around(world, feedback)

    def step(self, command: str) -> EngineState:
        """Run a command. One that is not admissible gives 'Nothing happens.' and changes nothing."""
        with LOCK:
            world = self._open_world()
            operator = self._operators.get(command.strip())
            if operator is None:
                return self._look_around(world, NOTHING_HAPPENS, valid=False)
            self._position, changes = world.apply(self._position, *operator)
            for fact, opposite in changes:
                self._facts.remove_fact(opposite)
                self._facts.add_fact(fact)
            action = world.action(operator[0])
            scope = self._game.scope(self._facts, action.mapping)
            return self._look_around(world, self._game.grammar.derive(action.feedback, scope))

    def fork(self) -> Engine:
        """An independent engine in the same state. Cheap: both share the loaded library, which can hold any number
        of states of one game."""
        with LOCK:
            world = self._open_world()
            other = Engine.__new__(Engine)
            other._game, other._world = self._game, world
            other._facts, other._position = self._facts.duplicate(), self._position
            other._operators = self._operators
            world.users += 1
            return other

    def close(self) -> None:
        """Free what the C library holds. Closing twice does nothing."""
        with LOCK:
            world, self._world = self._world, None
            if world is not None:
                world.release()

    def __del__(self) -> None:
        if getattr(self, "_world", None) is not None and not sys.is_finalizing():
            self.close()

    def _open_world(self) -> _World:
        if self._world is None:
            raise RuntimeError("this engine is closed")
        return self._world

    def _look_around(self, world: _World, feedback: str, valid: bool = True) -> EngineState:
        self._operators = {}
        for identifier, effects in world.applicable(self._position):
            command = world.command(identifier, self._facts)
            self._operators.setdefault(command, (identifier, effects))
        admissible = tuple(sorted(self._operators))
        return EngineState(feedback, admissible, world.goal_reached(self._position), valid)


@dataclass(frozen=True)
class _Action:
    """A ground operator. `command` is None where its wording depends on facts that can change."""

    template: str
    feedback: str
    mapping: dict[Any, Any]
    command: str | None


class _World:
    """A copy of the C library with a game loaded; `users` counts the engines that share it.

    The library numbers the states it has seen; callers pass the one they are in.
    """

    def __init__(self, game: Game) -> None:
        self.game = game
        self.users = 1
        self._library = take_library(game.sas)
        self.start: int = self._library.get_state_id()
        self._buffer = (fast_downward.Operator * 64)()
        self._actions: dict[int, _Action] = {}
        self._changes: dict[bytes, tuple[Any, Any]] = {}

    def applicable(self, position: int) -> list[tuple[int, int]]:
        """(operator id, number of effects) in the library's order."""
        self._library.set_state_id(position)
        count = self._library.get_applicable_operators_count()
        if count > len(self._buffer):
            self._buffer = (fast_downward.Operator * (2 * count))()
        self._library.get_applicable_operators(self._buffer)
        found = []
        for index in range(count):
            operator = self._buffer[index]
            identifier = operator.id
            if identifier not in self._actions:
                self._actions[identifier] = self._ground(operator.name)
            found.append((identifier, operator.nb_effect_atoms))
        return found

    def action(self, identifier: int) -> _Action:
        return self._actions[identifier]

    def command(self, identifier: int, facts: Facts) -> str:
        action = self._actions[identifier]
        return action.command if action.command is not None else self._word(action.template, action.mapping, facts)

    def apply(self, position: int, identifier: int, effects: int) -> tuple[int, list[tuple[Any, Any]]]:
        """Run an operator; returns the new state's number and (fact that holds now, its opposite) pairs."""
        self._library.set_state_id(position)
        atoms = (fast_downward.Atom * effects)()
        self._library.apply_operator(identifier, atoms)
        return self._library.get_state_id(), [self._change(atom._name) for atom in atoms]

    def goal_reached(self, position: int) -> bool:
        self._library.set_state_id(position)
        return bool(self._library.check_goal())

    def release(self) -> None:
        self.users -= 1
        if self.users == 0:
            give_library_back(self._library)
            self._library = None

    def _ground(self, name: str) -> _Action:
        schema, *arguments = name.split()
        wording = self.game.grammar.actions.get(schema)
        if wording is None:
            raise TaskDataError(
                f"the domain's action {schema} is not in the grammar: they are of different ALFWorld versions"
            )
        placeholders = self.game.parameters[schema]
        mapping = {
            placeholder: Variable(argument, placeholder.type)
            for placeholder, argument in zip(placeholders, arguments, strict=False)
        }
        fixed = not self.game.predicates(wording.template) & self.game.changing
        command = self._word(wording.template, mapping, self.game.facts) if fixed else None
        return _Action(wording.template, wording.feedback, mapping, command)

    def _word(self, template: str, mapping: dict[Any, Any], facts: Facts) -> str:
        scope = self.game.scope(facts, mapping)
        names = {placeholder.name: str(self.game.entities[variable.name]) for placeholder, variable in mapping.items()}
        return self.game.grammar.derive(template, scope).format(**names)

    def _change(self, name: bytes) -> tuple[Any, Any]:
        if name not in self._changes:
            fact = parsed_fact(name.decode("cp1252"), self.game.types_by_name)
            opposite = fact.name.removeprefix("not_") if fact.is_negation else f"not_{fact.name}"
            self._changes[name] = fact, fact_of(opposite, fact.arguments)
        return self._changes[name]
