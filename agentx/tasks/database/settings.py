"""Options of the database task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from agentx.errors import ConfigError, did_you_mean

Source = Literal["generated", "official"]
EngineName = Literal["sqlite", "mysql"]
Prompt = Literal["plain", "compact"]
Scoring = Literal["agentbench_v02", "agentbench_main"]

MUTATIONS = ("INSERT", "UPDATE", "DELETE")
QUERIES = (
    "other",
    "comparison",
    "counting",
    "ranking",
    "aggregation-SUM",
    "aggregation-MAX",
    "aggregation-MIN",
    "aggregation-AVG",
)
KINDS = (*MUTATIONS, *QUERIES)
"""AgentBench's sample types; its own data have no DELETE"""
SPLITS = {"generated": ("train", "test"), "official": ("dev", "standard")}


@dataclass(frozen=True)
class Settings:
    """Which tables are asked about, on which engine and under which rules."""

    name: Literal["database"] = "database"
    source: Source = "generated"
    """generated: tables and questions made here; official: AgentBench's, from paths.agentbench."""
    split: str = "test"
    """generated: train or test, about different subjects. official: dev or standard."""
    samples: int | None = 60
    """How many samples; null takes all of an official split."""
    seed: int = 0
    """Which samples are generated."""
    kinds: list[str] = field(default_factory=lambda: list(KINDS))
    """Which kinds of samples are played; generated ones take them in turn."""
    rows: tuple[int, int] = (6, 12)
    """Difficulty of generated samples: least and most rows in a table."""
    engine: EngineName = "sqlite"
    """sqlite: embedded, a stand-in that reads MySQL's dialect through sqlglot; mysql: a real server."""
    dsn: str | None = None
    """The server of engine=mysql as mysql://user:password@host:port; null starts a private MariaDB."""
    scoring: Scoring = "agentbench_v02"
    """How answers are compared: as AgentBench 0.2 does, which the paper used, or as its main branch does."""
    max_rounds: int = 15
    """Rounds an episode may take (AgentBench: 15)."""
    statement_seconds: float = 5.0
    """Time limit of one statement, in seconds; a statement that takes longer is stopped and answered with an error."""
    prompt: Prompt = "plain"
    """plain: instruction and worked examples; compact: one line, for the tiny model."""
    multiline_actions: bool = True
    """Statements and answers take several lines."""

    def __post_init__(self) -> None:
        splits = SPLITS[self.source]
        if self.split not in splits:
            hint = did_you_mean(self.split, splits)
            raise ConfigError(f"task.split={self.split}: task.source={self.source} has {', '.join(splits)}{hint}")
        if self.samples is None and self.source == "generated":
            raise ConfigError("task.samples=null: say how many samples to generate; null is for task.source=official")
        for option, value, least in (
            ("samples", 1 if self.samples is None else self.samples, 1),
            ("seed", self.seed, 0),
            ("max_rounds", self.max_rounds, 1),
            ("statement_seconds", self.statement_seconds, 0.1),
        ):
            if value < least:
                raise ConfigError(f"task.{option}={value}: must be at least {least}")
        if not self.kinds:
            raise ConfigError(f"task.kinds=[]: name at least one of {', '.join(KINDS)}")
        for kind in self.kinds:
            if kind not in KINDS:
                hint = did_you_mean(kind, KINDS) or f"; there is {', '.join(KINDS)}"
                raise ConfigError(f"task.kinds: {kind} is not a kind of sample{hint}")
        if len(set(self.kinds)) < len(self.kinds):
            raise ConfigError(f"task.kinds={self.kinds}: names a kind twice")
        low, high = self.rows
        if not 4 <= low <= high <= 100:
            raise ConfigError(f"task.rows=[{low},{high}]: must be two numbers with 4 <= least <= most <= 100")
        if self.dsn is not None and self.engine != "mysql":
            raise ConfigError("task.dsn: only task.engine=mysql connects to a server")
        if not self.multiline_actions:
            raise ConfigError("task.multiline_actions=false: statements of the database task take several lines")
