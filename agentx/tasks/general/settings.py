"""Options of the general suite."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agentx.errors import ConfigError

if TYPE_CHECKING:
    from agentx.reasoning.settings import MethodSettings


@dataclass(frozen=True)
class Settings:
    """Which questions are asked, and how strictly answers are compared."""

    name: Literal["general"] = "general"
    path: Path | None = None
    """Questions of your own: a JSON list or JSON lines with question, answer and, where wanted, choices, scoring,
    skill, example. null: the held-out suite generated here."""
    samples: int | None = 200
    """How many questions: of the suite, the same number of each skill; of a file, its first. null: all of a file."""
    seed: int = 0
    """Of the generated questions."""
    skills: list[str] = field(default_factory=list)
    """Skills that are asked about; empty: all."""
    instruction: str | None = None
    """A sentence put before every question; null: none, as in the general data models are tuned on."""
    ignore_case: bool = False
    """Whether `exact` and `contains` take capital and small letters for the same."""
    ignore_punctuation: bool = False
    """Whether `exact` and `contains` leave punctuation out of the comparison."""
    style: Literal["io", "cot", "react"] = "io"
    """The method's prompting style. io: the whole reply is the answer; cot and react: what follows ACTION: is."""
    multiline_actions: bool = True
    """Answers may have several lines."""

    def __post_init__(self) -> None:
        if self.samples is None and self.path is None:
            raise ConfigError("task.samples=null: say how many questions to generate; null is for task.path=FILE")
        for option, value, least in (("samples", self.samples, 1), ("seed", self.seed, 0)):
            if value is not None and value < least:
                raise ConfigError(f"task.{option}={value}: must be at least {least}")
        if not self.multiline_actions:
            raise ConfigError("task.multiline_actions=false: answers may have several lines; leave it true")

    def sources(self) -> list[tuple[str, str]]:
        """Pairs of an option of paths (here none) and a pattern below it: the file that the questions come from."""
        return [] if self.path is None else [("", str(self.path))]

    def check_method(self, method: MethodSettings) -> None:
        """Raises ConfigError for a method that has nothing to do where one question gets one reply."""
        searches = method.num_path > 1 or method.num_branch > 1 or method.tree.strategy != "none"
        if searches or method.decompose.enabled or method.backtrack.enabled:
            raise ConfigError(
                f"method={method.name}: task=general asks one question and takes one reply, there is nothing to "
                "search; use method=io, or method=cot to have the model reason first"
            )
        if self.style != method.style:
            raise ConfigError(f"task.style={self.style}: must be the method's, {method.style}; leave task.style out")
