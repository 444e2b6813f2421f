"""What a run can do. Each job is a module `agentx.jobs.<name>` with a function `run(config)`."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from agentx.errors import ConfigError

JOBS = {
    "experiment": "tune (unless tuning=none), evaluate, print the table",
    "tune": "make the adapter only",
    "evaluate": "evaluate only; the adapter must exist unless tuning=none",
    "report": "tables, figures and trajectories of everything under paths.output",
    "pretrain": "train the embedded model `tiny` from scratch",
}


@dataclass(frozen=True)
class JobSettings:
    """The jobs without options of their own."""

    name: str = "experiment"
    """which job; see JOBS"""


def settings_of(name: object) -> type:
    """The settings class of job `name`. Raises ConfigError for a job that does not exist."""
    if name not in JOBS:
        close = difflib.get_close_matches(str(name), list(JOBS), n=1)
        hint = f"did you mean {close[0]}?" if close else f"there is {', '.join(JOBS)}"
        raise ConfigError(f"job.name={name}: no such job; {hint}")
    if name == "pretrain":
        from agentx.pretraining.settings import PretrainSettings

        return PretrainSettings
    return JobSettings
