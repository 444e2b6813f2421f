"""Options of the database task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from agentx.errors import ConfigError
from agentx.tasks.option_checks import check_at_least, check_names, check_samples, check_split, check_without_choosing

if TYPE_CHECKING:
    from agentx.reasoning.settings import MethodSettings

Source = Literal["generated", "official"]
EngineName = Literal["sqlite", "mysql"]
Prompt = Literal["plain", "compact"]
Replies = Literal["action", "agentbench"]
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
    replies: Replies = "action"
    """action: our own prompt, for every method; agentbench: AgentBench's prompt and reply format, from the checkout
    that paths.agentbench is the data folder of, for methods without branching."""
    multiline_actions: bool = True
    """Statements and answers take several lines."""

    def __post_init__(self) -> None:
        check_split(self.source, self.split, SPLITS)
        check_samples(self.source, self.samples, "samples")
        check_at_least(
            seed=(self.seed, 0), max_rounds=(self.max_rounds, 1), statement_seconds=(self.statement_seconds, 0.1)
        )
        check_names("kinds", self.kinds, KINDS, "kind of sample")
        if len(set(self.kinds)) < len(self.kinds):
            raise ConfigError(f"task.kinds={self.kinds}: names a kind twice")
        low, high = self.rows
        if not 4 <= low <= high <= 100:
            raise ConfigError(f"task.rows=[{low},{high}]: must be two numbers with 4 <= least <= most <= 100")
        if self.dsn is not None and self.engine != "mysql":
            raise ConfigError("task.dsn: only task.engine=mysql connects to a server")
        if not self.multiline_actions:
            raise ConfigError("task.multiline_actions=false: statements of the database task take several lines")

    def sources(self) -> list[tuple[str, str]]:
        """Pairs of an option of paths and a pattern below it: the files of the user's that episodes come from."""
        found = [("agentbench", f"dbbench/{self.split}.jsonl")] if self.source == "official" else []
        agentbench = self.replies == "agentbench"
        return [*found, ("agentbench", "../src/server/tasks/dbbench/__init__.py")] if agentbench else found

    def check_method(self, method: MethodSettings) -> None:
        """Raises ConfigError where the method would choose among replies by what AgentBench's do not have."""
        if self.replies == "agentbench":
            check_without_choosing(method)
