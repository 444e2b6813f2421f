"""Options of the household task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from agentx.errors import ConfigError, did_you_mean

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
        splits = SPLITS[self.source]
        if self.split not in splits:
            hint = did_you_mean(self.split, splits)
            raise ConfigError(f"task.split={self.split}: task.source={self.source} has {', '.join(splits)}{hint}")
        if self.samples is None and self.source == "generated":
            raise ConfigError("task.samples=null: say how many games to generate; null is for task.source=official")
        for option, value, least in (
            ("samples", 1 if self.samples is None else self.samples, 1),
            ("seed", self.seed, 0),
            ("max_rounds", self.max_rounds, 1),
            ("objects", self.objects, 4),
        ):
            if value < least:
                raise ConfigError(f"task.{option}={value}: must be at least {least}")
        if not self.task_types:
            raise ConfigError(f"task.task_types=[]: name at least one of {', '.join(TASK_TYPES)}")
        for task_type in self.task_types:
            if task_type not in TASK_TYPES:
                hint = did_you_mean(task_type, TASK_TYPES) or f"; there is {', '.join(TASK_TYPES)}"
                raise ConfigError(f"task.task_types: {task_type} is not a task type{hint}")
        if len(set(self.task_types)) < len(self.task_types):
            raise ConfigError(f"task.task_types={self.task_types}: names a task type twice")
        low, high = self.receptacles
        if not 4 <= low <= high:
            raise ConfigError(f"task.receptacles=[{low},{high}]: must be two numbers with 4 <= least <= most")
