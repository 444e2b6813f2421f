"""What a run can do. Each job is a module `agentx.jobs.<name>` with a function `run(config)`."""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass, field
from pathlib import Path

from agentx.errors import ConfigError, did_you_mean

JOBS = {
    "experiment": "tune (unless tuning=none), evaluate, print the table",
    "tune": "make the adapter only",
    "evaluate": "evaluate only; the adapter must exist unless tuning=none",
    "data": "look at the tuning data: counts, lengths, duplicates, the mix, contamination",
    "serve": "print, and with job.run=true run, the vLLM server for a model with its adapter",
    "doctor": "what a run may need, what of it is here, and what mends the rest",
    "export": "what was run as Parquet files and as Inspect logs",
    "merge": "write the tuned model as one plain model, and compare it with what was tuned",
    "reproduce": "run the cell job.cell again and compare the two step by step",
    "report": "tables, figures and trajectories of everything under paths.output",
    "construct": "build agent data: a teacher writes, the real environment verifies",
    "review": "people accept, reject, edit or compare trajectories on a local web page",
    "pretrain": "train the embedded model `tiny` from scratch",
}


EXPORT_FORMATS = ("parquet", "inspect")


@dataclass(frozen=True)
class ExportSettings:
    """What `job=export` writes."""

    name: str = "export"
    """this job's name"""
    formats: list[str] = field(default_factory=lambda: list(EXPORT_FORMATS))
    """parquet: one row per episode, and one per model call; inspect: a log per cell for inspect-ai"""
    directory: Path | None = None
    """where to; null: <paths.output>/export"""

    def __post_init__(self) -> None:
        for name in self.formats or [""]:
            if name not in EXPORT_FORMATS:
                hint = did_you_mean(name, EXPORT_FORMATS)
                raise ConfigError(f"job.formats={self.formats}: must be some of {', '.join(EXPORT_FORMATS)}{hint}")


@dataclass(frozen=True)
class JobSettings:
    """The jobs without options of their own."""

    name: str = "experiment"
    """which job; see JOBS"""


@dataclass
class ServeSettings:
    """vLLM's server for the chosen model. How it uses memory and GPUs is said by backend=vllm."""

    name: str = "serve"
    """serve"""
    run: bool = False
    """start it and stay until it ends; false: only print the command"""
    host: str = "127.0.0.1"
    """address it listens on; the default is reached from this machine only"""
    port: int = 8000
    """and port"""
    api_key_env: str | None = None
    """environment variable with the key that callers have to bring; null: none is asked for"""
    adapters: dict[str, str] = field(default_factory=dict)
    """further LoRA adapters, name: directory; model.adapter and the tuned one are served anyway"""
    python: str | None = None
    """interpreter that has vLLM; null: this one, or else that of `make vllm`"""
    wait: float = 900.0
    """seconds until it has to answer"""
    extra: list[str] = field(default_factory=list)
    """further arguments of vLLM, as they are"""

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise ConfigError(f"job.port={self.port}: must be from 1 to 65535")
        if self.wait <= 0:
            raise ConfigError(f"job.wait={self.wait}: must be above 0 seconds")
        if self.host not in ("127.0.0.1", "localhost", "::1") and self.api_key_env is None:
            raise ConfigError(
                f"job.host={self.host}: can be reached from other machines, so set job.api_key_env to a variable with "
                "a key"
            )
        if self.api_key_env is not None and not self.api_key_env.isidentifier():
            raise ConfigError("job.api_key_env: must be the name of an environment variable, not the key itself")
        for name in self.adapters:
            if not name or set(name) & set("=/ "):
                raise ConfigError(f"job.adapters={name}: a name without blanks, / and = is needed")


@dataclass(frozen=True)
class SweepSettings:
    """How jobs of a sweep get along, also on several machines over one directory."""

    dry_run: bool = False
    """list the jobs and what they need, run none"""
    dead_after: float = 60.0
    """seconds without a sign of life after which another machine's job is taken over; the same on all machines"""

    def __post_init__(self) -> None:
        if self.dead_after < 1:
            raise ConfigError(f"sweep.dead_after={self.dead_after:g}: must be at least 1 second")


SETTINGS = {
    "construct": "agentx.construction.settings:ConstructSettings",
    "data": "agentx.tuning.settings:PreviewSettings",
    "export": "agentx.jobs.settings:ExportSettings",
    "merge": "agentx.tuning.settings:MergeSettings",
    "pretrain": "agentx.pretraining.settings:PretrainSettings",
    "reproduce": "agentx.jobs.reproduce:ReproduceSettings",
    "review": "agentx.review.settings:ReviewSettings",
    "serve": "agentx.jobs.settings:ServeSettings",
}
"""the settings of the jobs that have options of their own, imported when one is asked for"""


def settings_of(name: object) -> type:
    """The settings class of job `name`. Raises ConfigError for a job that does not exist."""
    if name not in JOBS:
        close = difflib.get_close_matches(str(name), list(JOBS), n=1)
        hint = f"did you mean {close[0]}?" if close else f"there is {', '.join(JOBS)}"
        raise ConfigError(f"job.name={name}: no such job; {hint}")
    module, _, attribute = SETTINGS.get(str(name), "agentx.jobs.settings:JobSettings").partition(":")
    settings: type = getattr(importlib.import_module(module), attribute)
    return settings
