"""Options of the household task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from agentx.errors import ConfigError
from agentx.tasks.option_checks import check_at_least, check_names, check_samples, check_split

Source = Literal["generated", "official"]
Text = Literal["current", "classic"]
Prompt = Literal["plain", "compact"]
Matching = Literal["bleu", "exact"]
Rules = Literal["agentbench_v02"]

TASK_TYPES = (
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
)
SPLITS = {"generated": ("train", "test"), "official": ("dev", "standard", "valid_seen", "valid_unseen")}


@dataclass(frozen=True)
class Settings:
    """Which games are played and under which rules."""

    name: Literal["household"] = "household"
    source: Source = "generated"
    """generated: games made here, on ALFWorld's floor plans; official: ALFWorld's own, from paths.alfworld."""
    split: str = "test"
    """generated: train or test, on different floor plans. official: dev or standard (AgentBench's lists), or
    valid_seen or valid_unseen (all of ALFWorld's)."""
    samples: int | None = 60
    """How many games; null plays all of an official split."""
    seed: int = 0
    """Which games are generated."""
    task_types: list[str] = field(default_factory=lambda: list(TASK_TYPES))
    """Which of ALFWorld's six task types are played; generated games take them in turn."""
    receptacles: tuple[int, int] = (6, 12)
    """Difficulty of generated games: least and most receptacles in a room."""
    objects: int = 10
    """Difficulty of generated games: objects lying about, those of the goal included."""
    max_rounds: int = 35
    """Rounds an episode may take."""
    rules: Rules = "agentbench_v02"
    """How replies are judged: action matching, loop rule and statuses of AgentBench 0.2, which the paper used."""
    text: Text = "current"
    """current: ALFWorld 0.4 ("move X to Y"); classic: up to 0.3, as in AgentBench ("put X in/on Y")."""
    prompt: Prompt = "plain"
    """plain: instruction, worked examples and available actions; compact: one line, for the tiny model."""
    matching: Matching = "bleu"
    """What happens to an action that is not available: bleu takes the most similar one, exact takes it as it is."""
    multiline_actions: bool = False
    """Actions of several lines (code, queries); household commands are lines."""

    def __post_init__(self) -> None:
        check_split(self.source, self.split, SPLITS)
        check_samples(self.source, self.samples, "games")
        check_at_least(seed=(self.seed, 0), max_rounds=(self.max_rounds, 1), objects=(self.objects, 4))
        check_names("task_types", self.task_types, TASK_TYPES, "task type")
        if len(set(self.task_types)) < len(self.task_types):
            raise ConfigError(f"task.task_types={self.task_types}: names a task type twice")
        low, high = self.receptacles
        if not 4 <= low <= high:
            raise ConfigError(f"task.receptacles=[{low},{high}]: must be two numbers with 4 <= least <= most")

    def sources(self) -> list[tuple[str, str]]:
        """Pairs of an option of paths and a pattern below it: the files of the user's that episodes come from."""
        if self.source == "generated":
            return []
        if self.split in ("dev", "standard"):
            return [("agentbench", f"alfworld/{self.split}.json"), ("alfworld", "**/valid_*/*/*/game.tw-pddl")]
        return [("alfworld", f"**/{self.split}/*/*/game.tw-pddl")]
