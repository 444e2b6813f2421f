"""agentx: tune small open LLMs into agents and measure whether it worked (arXiv 2403.19962)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentx.results import Results

__version__ = "0.1.0"


def load_results(path: str | Path = "outputs") -> Results:
    """What was evaluated below `path` as pandas frames: cells, episodes, calls and steps (see `agentx.results`)."""
    from agentx.results import load_results as load

    return load(path)
