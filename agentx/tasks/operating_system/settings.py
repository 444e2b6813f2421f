"""Options of the operating-system task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from agentx.errors import ConfigError
from agentx.tasks.option_checks import check_at_least, check_samples, check_split, check_without_choosing

if TYPE_CHECKING:
    from agentx.reasoning.settings import MethodSettings

Source = Literal["generated", "official"]
Prompt = Literal["plain", "compact"]
Replies = Literal["action", "agentbench"]
Sandbox = Literal["namespaces", "docker", "podman"]

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
    """namespaces: Linux user, process, mount, network, host-name and IPC namespaces, no other program needed;
    docker, podman: a throw-away container per episode."""
    root_tree: str = "host"
    """What namespaces start from. host: the host's programs, read-only, under files made here: there at once; debian: a
    minimal Debian, made once with mmdebstrap and the network: the same programs on every machine; or a tar file that
    holds a root file system."""
    image: str | None = None
    """What containers start from, an image with bash and python3; null: the project's own, built on first use."""
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
    replies: Replies = "action"
    """action: our own prompt, for every method; agentbench: AgentBench's prompt and reply format, from the checkout
    that paths.agentbench is the data folder of, for methods without branching."""
    multiline_actions: bool = True
    """Actions of several lines: scripts are."""

    def __post_init__(self) -> None:
        check_split(self.source, self.split, SPLITS)
        check_samples(self.source, self.samples, "problems")
        check_at_least(
            seed=(self.seed, 0),
            max_rounds=(self.max_rounds, 1),
            output_chars=(self.output_chars, 100),
            memory_mb=(self.memory_mb, 64),
            disk_mb=(self.disk_mb, 8),
            processes=(self.processes, 16),
        )
        for option, seconds in (
            ("silence_seconds", self.silence_seconds),
            ("command_seconds", self.command_seconds),
            ("script_seconds", self.script_seconds),
        ):
            if not seconds > 0:
                raise ConfigError(f"task.{option}={seconds}: must be above 0")
        if self.root_tree != "host" and self.sandbox != "namespaces":
            raise ConfigError(
                f"task.root_tree={self.root_tree}: is for task.sandbox=namespaces; containers have task.image"
            )
        if self.image is not None and self.sandbox == "namespaces":
            raise ConfigError(f"task.image={self.image}: is for task.sandbox=docker or podman")
        if not self.multiline_actions:
            raise ConfigError("task.multiline_actions=false: scripts have several lines, leave it true")

    def sources(self) -> list[tuple[str, str]]:
        """Pairs of an option of paths and a pattern below it: the files of the user's that episodes come from."""
        found = [("agentbench", "os_interaction/**/*")] if self.source == "official" else []
        agentbench = self.replies == "agentbench"
        return [*found, ("agentbench", "../src/server/tasks/os_interaction/task.py")] if agentbench else found

    def check_method(self, method: MethodSettings) -> None:
        """Raises ConfigError where the method would choose among replies by what AgentBench's do not have."""
        if self.replies == "agentbench":
            check_without_choosing(method)
