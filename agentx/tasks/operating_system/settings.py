"""Options of the operating-system task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agentx.errors import ConfigError

Source = Literal["generated", "official"]
Prompt = Literal["plain", "compact"]
Sandbox = Literal["namespaces"]

SPLITS = {"generated": ("train", "test"), "official": ("dev", "standard")}


@dataclass(frozen=True)
class Settings:
    """Which problems are set, in what sandbox, under which rules."""

    name: Literal["operating_system"] = "operating_system"
    source: Source = "generated"
    """generated: problems made here; official: AgentBench's, from paths.agentbench."""
    split: str = "test"
    """generated: train or test, of different names and numbers. official: dev or standard."""
    samples: int | None = 48
    """How many problems; null takes all of an official split."""
    seed: int = 0
    """Which problems are generated."""
    sandbox: Sandbox = "namespaces"
    """namespaces: Linux user, process, mount, network, host-name and IPC namespaces, no other program needed."""
    max_rounds: int = 8
    """Rounds an episode may take."""
    silence_seconds: float = 5.0
    """A command is cut when it has printed nothing for so long."""
    command_seconds: float = 30.0
    """A command is cut after so long in any case."""
    script_seconds: float = 60.0
    """Longest time a set-up or checking script may take."""
    output_chars: int = 800
    """Longer output is cut to 20 characters less than this, with a note."""
    memory_mb: int = 256
    """Memory of one episode's processes, in MiB."""
    disk_mb: int = 64
    """What one episode may write, in MiB; it is kept in memory."""
    processes: int = 64
    """Processes and threads one episode may have."""
    prompt: Prompt = "plain"
    """plain: instruction and a worked example; compact: one line, for the tiny model."""
    multiline_actions: bool = True
    """Actions of several lines: scripts are."""

    def __post_init__(self) -> None:
        splits = SPLITS[self.source]
        if self.split not in splits:
            raise ConfigError(f"task.split={self.split}: task.source={self.source} has {', '.join(splits)}")
        if self.samples is None and self.source == "generated":
            raise ConfigError("task.samples=null: say how many problems to generate; null is for task.source=official")
        for option, value, least in (
            ("samples", 1 if self.samples is None else self.samples, 1),
            ("seed", self.seed, 0),
            ("max_rounds", self.max_rounds, 1),
            ("output_chars", self.output_chars, 100),
            ("memory_mb", self.memory_mb, 64),
            ("disk_mb", self.disk_mb, 8),
            ("processes", self.processes, 16),
        ):
            if value < least:
                raise ConfigError(f"task.{option}={value}: must be at least {least}")
        for option, seconds in (
            ("silence_seconds", self.silence_seconds),
            ("command_seconds", self.command_seconds),
            ("script_seconds", self.script_seconds),
        ):
            if not seconds > 0:
                raise ConfigError(f"task.{option}={seconds}: must be above 0")
        if not self.multiline_actions:
            raise ConfigError("task.multiline_actions=false: scripts have several lines, leave it true")
