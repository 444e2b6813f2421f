"""Options of the Mind2Web task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agentx.errors import ConfigError

Source = Literal["generated", "official"]
Prompt = Literal["plain", "compact"]
Rules = Literal["faithful", "corrected"]
Replies = Literal["action", "agentbench"]
Scores = Literal["own", "official"]

SPLITS = {
    "generated": ("train", "test"),
    "official": ("dev", "std", "train", "test_task", "test_website", "test_domain"),
}


@dataclass(frozen=True)
class Settings:
    """Which web pages are asked about, and how."""

    name: Literal["mind2web"] = "mind2web"
    source: Source = "generated"
    """generated: small pages made here; official: Mind2Web's own, from paths.mind2web."""
    split: str = "test"
    """generated: train or test, on different websites. official: dev or std (AgentBench's files), or train,
    test_task, test_website or test_domain (Mind2Web's)."""
    samples: int | None = 100
    """How many steps are asked about, each a sample; null asks about all of an official split."""
    seed: int = 0
    """Which pages are generated, and the order in which candidates are asked about."""
    scores: Scores = "own"
    """Which elements become candidates: own ranks them by their text; official reads Mind2Web's score file."""
    top_k: int = 10
    """Candidates asked about, the best ranked."""
    choices: int = 5
    """Candidates in one question, besides "none of them"."""
    rules: Rules = "faithful"
    """faithful: AgentBench's rounds, in which a candidate left alone is never asked about; corrected: it is."""
    replies: Replies = "action"
    """action: `ACTION: B TYPE text`, ours, for every method; agentbench: its prompt file and its three lines, from
    paths.agentbench, for methods without branching: its letter is no part of what they take for the action."""
    prompt: Prompt = "plain"
    """plain: instruction and worked examples; compact: one line, for the tiny model."""
    multiline_actions: bool = False
    """Actions of several lines (code, queries); ours are lines."""

    def __post_init__(self) -> None:
        allowed = SPLITS[self.source]
        if self.split not in allowed:
            raise ConfigError(f"task.split={self.split}: task.source={self.source} has {', '.join(allowed)}")
        if self.source == "generated" and self.samples is None:
            raise ConfigError("task.samples=null: say how many steps to generate; null is for task.source=official")
        if self.source == "generated" and self.scores == "official":
            raise ConfigError("task.scores=official: generated pages have no official scores, use task.scores=own")
        for option, value, least in (
            ("samples", 1 if self.samples is None else self.samples, 1),
            ("seed", self.seed, 0),
            ("top_k", self.top_k, 1),
        ):
            if value < least:
                raise ConfigError(f"task.{option}={value}: must be at least {least}")
        if not 2 <= self.choices <= 5:
            raise ConfigError(f"task.choices={self.choices}: must be between 2 and 5, the letters B to F")
