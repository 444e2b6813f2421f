"""Options of `job=construct`; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from agentx.errors import ConfigError
from agentx.models.settings import ModelSettings

Mode = Literal["simulated", "real", "verified"]


@dataclass
class RoleModels:
    """A model of its own for a role; null: the teacher. Chosen as config groups, e.g.
    `teacher@job.models.environment=gpt-3.5-turbo`."""

    question: ModelSettings | None = None
    """writes the problem for a room"""
    action: ModelSettings | None = None
    """acts: thoughts and actions"""
    environment: ModelSettings | None = None
    """answers the actions"""


@dataclass
class FilterSettings:
    """What a verified or repaired trajectory has to be like. 0 and null switch a limit off."""

    invalid_actions: int = 2
    """most actions that did nothing in the real environment; they are shown, but not trained on"""
    repeats: int = 2
    """most repetitions of an action with the same reply in a row"""
    min_turns: int = 1
    """fewest replies of the agent"""
    max_words: int | None = 2000
    """most words from the first observation on"""
    language: str | None = "en"
    """language of the agent's thoughts, as two letters"""
    duplicates: float | None = 0.85
    """trajectories whose sets of 5-word shingles have this Jaccard similarity (found by MinHash) are near-duplicates;
    the first stays"""
    leakage: float | None = 0.9
    """a problem whose 5-word shingles have this Jaccard similarity to those of an evaluated problem has leaked"""
    leakage_samples: int = 200
    """evaluated problems compared with"""

    def __post_init__(self) -> None:
        for option in ("invalid_actions", "repeats", "leakage_samples"):
            _at_least(f"job.filters.{option}", getattr(self, option), 0)
        _at_least("job.filters.min_turns", self.min_turns, 1)
        if self.max_words is not None:
            _at_least("job.filters.max_words", self.max_words, 1)
        if self.language is not None and (len(self.language) != 2 or not self.language.isalpha()):
            raise ConfigError(f"job.filters.language={self.language}: must be two letters, e.g. en, or null")
        for option in ("duplicates", "leakage"):
            value = getattr(self, option)
            if value is not None and not 0 < value <= 1:
                raise ConfigError(f"job.filters.{option}={value}: must be above 0 and at most 1, or null")


@dataclass
class ConstructSettings:
    """How agent data are built."""

    name: Literal["construct"] = "construct"
    environment: Mode = "simulated"
    """who answers the actions. simulated: a model (the paper's way), replayed in the real environment afterwards; real:
    the real environment; verified: a model, each false reply replaced by the real one before the agent sees it"""
    max_turns: int = 20
    """replies of the agent in one trajectory"""
    temperature: float = 0.7
    """of every role"""
    top_p: float = 1.0
    """nucleus"""
    max_tokens: int = 512
    """longest reply of a role; a whole trajectory of a tool task may be `trajectory_tokens` long"""
    trajectory_tokens: int = 2048
    """longest trajectory written in one go"""
    asks: int = 2
    """times a role is asked for a reply until it has the right form"""
    hints: bool = True
    """household: the simulated environment may give the agent hints, which the training text leaves out"""
    examples: int = 3
    """tool tasks: worked trajectories shown to the teacher"""
    selection: Literal["similar", "random"] = "similar"
    """tool tasks: which of the pool are shown"""
    pool: int = 24
    """tool tasks: worked trajectories to choose from, played by the task's scripted expert"""
    concurrency: int = 16
    """dialogues at once"""
    verify_concurrency: int = 4
    """real environments open at once"""
    give_up_after: int = 8
    """stop when so many dialogues in a row failed for an outer reason (server, empty answers)"""
    models: RoleModels = field(default_factory=RoleModels)
    filters: FilterSettings = field(default_factory=FilterSettings)

    def __post_init__(self) -> None:
        for option, least in (
            ("max_turns", 1),
            ("max_tokens", 16),
            ("trajectory_tokens", 16),
            ("asks", 1),
            ("examples", 0),
            ("pool", 1),
            ("concurrency", 1),
            ("verify_concurrency", 1),
            ("give_up_after", 1),
        ):
            _at_least(f"job.{option}", getattr(self, option), least)
        if not 0 <= self.temperature <= 2:
            raise ConfigError(f"job.temperature={self.temperature}: must be from 0 to 2")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"job.top_p={self.top_p}: must be above 0 and at most 1")
        if self.examples > self.pool:
            raise ConfigError(f"job.examples={self.examples}: the pool has only job.pool={self.pool} trajectories")


def _at_least(option: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"{option}={value}: must be at least {least}")
