"""Scenes: training problems of tool tasks, each with its real environment, as the tasks' demonstrations set them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from agentx.tasks.demonstration import Demonstration
from agentx.tasks.environment import Environment

SEED_OFFSET = 10_007
"""keeps these problems apart from those of `data.agent=[experts]`, whatever their seeds"""
PROBLEM_PLACES = 2
"""of every second problem of a demonstration the expert makes mistakes on purpose; those are passed over"""


@dataclass(frozen=True)
class Scene:
    """Problem `index` of a task."""

    task: str
    settings: Any
    seed: int
    index: int

    @property
    def id(self) -> str:
        return f"{self.task}-{self.seed}-{self.index:05d}"

    @property
    def multiline(self) -> bool:
        return bool(self.settings.multiline_actions)

    def demonstrate(self, style: str = "react", shots: int = 0) -> Demonstration:
        """A fresh environment with the scripted expert beside it; `style` and `shots` shape the opening."""
        demonstration: Demonstration = _module(self.task).demonstrate(
            self.settings,
            index=PROBLEM_PLACES * self.index,
            seed=self.seed + SEED_OFFSET,
            style=style,
            shots=shots,
            weak_paths=0,
            contested=0.0,
        )
        return demonstration

    def open_real(self) -> Environment:
        """The real environment that a trajectory is verified in, not yet reset: a database on the server that the
        settings name, everything else as demonstrated."""
        opened = getattr(_module(self.task), "real_environment", None)
        if opened is None:
            return self.demonstrate().environment
        environment: Environment = opened(
            self.settings, index=PROBLEM_PLACES * self.index, seed=self.seed + SEED_OFFSET
        )
        return environment


def _module(task: str) -> Any:
    return importlib.import_module(f"agentx.tasks.{task}.demonstrations")
