"""Checks that the settings of several tasks make. Each raises ConfigError with one line that names the option."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agentx.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from agentx.reasoning.settings import MethodSettings


def check_split(source: str, split: str, splits: Mapping[str, Sequence[str]]) -> None:
    """`splits` has the names of each source's splits."""
    there = splits[source]
    if split not in there:
        hint = did_you_mean(split, there)
        raise ConfigError(f"task.split={split}: task.source={source} has {', '.join(there)}{hint}")


def check_samples(source: str, samples: int | None, what: str) -> None:
    """How many can only be left open where there is an end. `what`: what the task generates, in the plural."""
    if samples is None and source == "generated":
        raise ConfigError(f"task.samples=null: say how many {what} to generate; null is for task.source=official")
    check_at_least(samples=(samples, 1))


def check_at_least(**options: tuple[float | None, float]) -> None:
    """`options`: value and least value by name; None stands for no limit."""
    for option, (value, least) in options.items():
        if value is not None and value < least:
            raise ConfigError(f"task.{option}={value}: must be at least {least}")


def check_names(option: str, names: Sequence[str], known: Sequence[str], what: str) -> None:
    """A choice of at least one of `known`. `what`: one of them, in the singular."""
    if not names:
        raise ConfigError(f"task.{option}=[]: name at least one of {', '.join(known)}")
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"; there is {', '.join(known)}"
            raise ConfigError(f"task.{option}: {name} is not a {what}{hint}")


def check_without_choosing(method: MethodSettings) -> None:
    """With AgentBench's own replies a method cannot choose among actions: no line of theirs holds one."""
    if method.num_branch > 1 or method.tree.strategy != "none":
        raise ConfigError(
            f"method={method.name}: chooses among actions, and task.replies=agentbench has no line that holds "
            "one; use task.replies=action, or a method without branching"
        )
