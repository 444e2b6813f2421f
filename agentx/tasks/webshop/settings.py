"""Options of the WebShop task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agentx.tasks.option_checks import check_at_least, check_samples, check_split

Source = Literal["generated", "official"]
Catalogue = Literal["full", "small"]
Goals = Literal["human", "synthetic"]
ObservationMode = Literal["text", "text_rich"]
Rules = Literal["faithful", "corrected"]
Prompt = Literal["plain", "compact"]

SPLITS = {"generated": ("train", "test"), "official": ("dev", "std", "all")}
PRODUCT_FILES = {
    "full": ("items_shuffle.json", "items_ins_v2.json"),
    "small": ("items_shuffle_1000.json", "items_ins_v2_1000.json"),
}
"""official files by catalogue: products, and their attributes"""
INSTRUCTIONS = "items_human_ins.json"


@dataclass(frozen=True)
class Settings:
    """Which goals are shopped for, where and under which rules."""

    name: Literal["webshop"] = "webshop"
    source: Source = "generated"
    """generated: a catalogue made here; official: WebShop's data files, from paths.webshop."""
    split: str = "test"
    """generated: train or test, with different products wanted. official: dev (goals 200 to 279) or std (goals 0 to
    199), as in AgentBench, or all."""
    samples: int | None = 60
    """How many goals; null plays all of an official split."""
    seed: int = 0
    """Which catalogue and goals are generated; also which prices and price limits are drawn."""
    catalogue: Catalogue = "full"
    """Official files: full is items_shuffle.json (1.18 million products), small is items_shuffle_1000.json."""
    products: int = 500
    """Size of the generated catalogue."""
    goals: Goals = "human"
    """Official goals: human instructions or synthetic ones (one per combination of options)."""
    observation: ObservationMode = "text"
    """text: the page's texts in one line; text_rich: in lines, buttons and chosen options marked."""
    max_rounds: int = 10
    """Rounds an episode may take."""
    rules: Rules = "faithful"
    """faithful: the original engine with its oddities; corrected: without them."""
    prompt: Prompt = "plain"
    """plain: instruction, worked example and available actions; compact: one line, for the tiny model."""
    multiline_actions: bool = False
    """Actions of several lines (code, queries); shop actions are lines."""

    def __post_init__(self) -> None:
        check_split(self.source, self.split, SPLITS)
        check_samples(self.source, self.samples, "goals")
        check_at_least(seed=(self.seed, 0), products=(self.products, 50), max_rounds=(self.max_rounds, 1))

    def sources(self) -> list[tuple[str, str]]:
        """Pairs of an option of paths and a pattern below it: the files of the user's that episodes come from."""
        if self.source == "generated":
            return []
        names = [*PRODUCT_FILES[self.catalogue], *([INSTRUCTIONS] if self.goals == "human" else [])]
        return [("webshop", name) for name in names]
