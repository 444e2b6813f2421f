"""Options of the Mind2Web task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from agentx.errors import ConfigError
from agentx.tasks.option_checks import check_at_least, check_samples, check_split, check_without_choosing

if TYPE_CHECKING:
    from agentx.reasoning.settings import MethodSettings

Source = Literal["generated", "official"]
Prompt = Literal["plain", "compact"]
Rules = Literal["faithful", "corrected"]
Replies = Literal["action", "agentbench"]
Scores = Literal["own", "official", "cross_encoder"]

SPLITS = {
    "generated": ("train", "test"),
    "official": ("dev", "std", "train", "test_task", "test_website", "test_domain"),
}


SCORE_FILE = "scores_all_data.pkl"


def split_folders(split: str) -> tuple[str, str, str]:
    """Where a split's files may lie below paths.mind2web: AgentBench's folder first, then Mind2Web's own."""
    return f"data_{split}", f"data/{split}", split


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
    """Which elements become candidates: own ranks them by their text; official reads Mind2Web's score file;
    cross_encoder asks the model `ranker`."""
    ranker: str | None = None
    """A sequence classifier of transformers, directory or name on the Hub, that scores task and element together."""
    top_k: int = 10
    """Candidates asked about, the best ranked."""
    choices: int = 5
    """Candidates in one question, besides "none of them"."""
    rules: Rules = "faithful"
    """faithful: AgentBench's rounds, in which a candidate left alone is never asked about; corrected: it is."""
    replies: Replies = "action"
    """action: `ACTION: B TYPE text`, ours, for every method; agentbench: its prompt file, each question in a dialogue
    of its own and its three lines, from paths.agentbench, for methods without branching: its letter is no part of
    what they take for the action."""
    prompt: Prompt = "plain"
    """plain: instruction and worked examples; compact: one line, for the tiny model."""
    multiline_actions: bool = False
    """Actions of several lines (code, queries); ours are lines."""

    def __post_init__(self) -> None:
        check_split(self.source, self.split, SPLITS)
        check_samples(self.source, self.samples, "steps")
        if self.source == "generated" and self.scores == "official":
            raise ConfigError("task.scores=official: generated pages have no official scores, use task.scores=own")
        if (self.scores == "cross_encoder") != (self.ranker is not None):
            raise ConfigError(
                f"task.ranker={self.ranker}: task.scores=cross_encoder needs one, a directory or a name on the Hub, "
                "and no other scores do"
            )
        check_at_least(seed=(self.seed, 0), top_k=(self.top_k, 1))
        if not 2 <= self.choices <= 5:
            raise ConfigError(f"task.choices={self.choices}: must be between 2 and 5, the letters B to F")

    def sources(self) -> list[tuple[str, str]]:
        """Pairs of an option of paths and a pattern below it: the files of the user's that episodes come from."""
        found = [("agentbench", "mind2web/prompt/*")] if self.replies == "agentbench" else []
        if self.source == "generated":
            return found
        names = [f"{folder}/*.json" for folder in split_folders(self.split)]
        names += [SCORE_FILE] if self.scores == "official" else []
        return [*found, *(("mind2web", name) for name in names)]

    def check_method(self, method: MethodSettings) -> None:
        """Raises ConfigError where the method would choose among replies by what AgentBench's do not have."""
        if self.replies == "agentbench":
            check_without_choosing(method)
