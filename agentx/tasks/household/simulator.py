"""A simulated household, for making training data only: fast, and word for word what the real engine says.

Scores are never taken here. Rules (rounds, loops, matching of actions, verdicts) are the environment's own: the
simulation only stands in for the engine beneath it.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentx.tasks.household.environment import HouseholdEnvironment
from agentx.tasks.household.room import Room
from agentx.tasks.household.settings import Settings
from agentx.tasks.household.simulated_state import NOTHING_HAPPENS, SimulatedState

WELCOME = "-= Welcome to TextWorld, ALFRED! =-\n\n"


@dataclass(frozen=True)
class Shown:
    """What the engine would show; see `agentx.tasks.household.environment.PlayerState`."""

    feedback: str
    admissible: tuple[str, ...]
    won: bool
    valid: bool = True


class SimulatedEngine:
    """Plays a room instead of a game file, with the methods of `agentx.tasks.household.engine.Engine`.

    `state` is the room in play, which an `ExpertModel` needs.
    """

    simulated = True

    def __init__(self, room: Room, state: SimulatedState | None = None) -> None:
        self.state = state or SimulatedState(room)

    def reset(self) -> Shown:
        return self._shown(WELCOME + self.state.restart())

    def step(self, command: str) -> Shown:
        feedback = self.state.do(command)
        return self._shown(feedback, valid=feedback != NOTHING_HAPPENS)

    def fork(self) -> SimulatedEngine:
        return SimulatedEngine(self.state.room, self.state.copy())

    def close(self) -> None:
        """Nothing is held."""

    def _shown(self, feedback: str, valid: bool = True) -> Shown:
        return Shown(feedback, tuple(self.state.admissible_commands()), self.state.won, valid)


class SimulatedHousehold(HouseholdEnvironment):
    """A simulated room under the household's rules; satisfies `agentx.tasks.environment.Environment`.

    It is a simulation (`simulated` is True), for training data: results on it are never to be reported as scores.
    `state` is the room in play, which an `ExpertModel` needs.
    """

    simulated = True

    def __init__(self, room: Room, settings: Settings | None = None) -> None:
        engine = SimulatedEngine(room)
        self.state = engine.state
        super().__init__(lambda: engine, settings or Settings(prompt="compact"))

    @property
    def won(self) -> bool:
        return self.state.won

    def do(self, command: str) -> str:
        """Runs a command past the rules and returns the engine's text: for play without a method around it."""
        return self.state.do(command)
