"""`job=experiment`: tune (unless tuning=none), evaluate, print the table."""

from __future__ import annotations

from pathlib import Path

from agentx.config import Config
from agentx.jobs import evaluate


def run(config: Config) -> Path:
    """Returns the directory of the evaluated cell."""
    return evaluate.run_cell(config, may_train=True)
