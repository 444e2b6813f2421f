"""What the embedded model is later evaluated on, and so never reads in training."""

from __future__ import annotations

import importlib
from functools import cache

from agentx.config import PathSettings

NGRAM = 13
"""words in a row that must not be shared, as for other models' training data (Brown et al. 2020)"""
SAMPLES = 200


@cache
def statements(task: str, samples: int = SAMPLES) -> dict[str, str]:
    """What the first `samples` held-out samples of a task ask, by id."""
    options = importlib.import_module(f"agentx.tasks.{task}.settings").Settings(samples=samples)
    made = importlib.import_module(f"agentx.tasks.{task}.task").make_task(options, PathSettings())
    asked: dict[str, str] = made.statements()
    return asked
