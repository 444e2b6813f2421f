"""The household task's prompts: instruction, reply format and worked examples, rendered for a prompting style."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

from agentx.conversation import Message
from agentx.errors import ConfigError
from agentx.tasks import replies
from agentx.tasks.household.room import TASK_TYPES
from agentx.tasks.replies import STYLES

Prompt = Literal["plain", "compact"]


@dataclass(frozen=True)
class ExampleTurn:
    observation: str
    thought: str
    reasoning: str
    action: str


@dataclass(frozen=True)
class Example:
    """A worked example; `ending` is what the last action brought. `room_seed` is the room it was played in."""

    task_type: str
    room_seed: int
    turns: tuple[ExampleTurn, ...]
    ending: str


def opening(task_type: str, style: str, shots: int, prompt: Prompt = "plain") -> list[Message]:
    """The messages before the first observation, which belongs into the last one where that is the user's.

    `plain`: instruction, acknowledgement and `shots` worked examples, the first of the same task type. `compact`: one
    line, no examples. Raises ConfigError on an unknown style, prompt or task type and on shots that cannot be had.
    """
    _check("method.style", style, STYLES)
    _check("task.prompt", prompt, ("plain", "compact"))
    _check("task type", task_type, TASK_TYPES)
    if not 0 <= shots <= len(TASK_TYPES):
        raise ConfigError(f"method.shots={shots}: the household task has 0 to {len(TASK_TYPES)} worked examples")
    texts = _texts()
    if prompt == "compact":
        if shots:
            raise ConfigError(f"method.shots={shots}: task.prompt=compact has no examples, use method.shots=0")
        return [Message("user", texts["compact"][style])]
    plain = texts["plain"]
    commands = "\n".join(f"- {command}" for command in texts["commands"])
    instruction = plain["instruction"].format(commands=commands, format=texts["formats"][style])
    messages = [Message("user", instruction), Message("assistant", plain["acknowledgement"])]
    announcement = plain["example"]
    for example in _chosen(task_type, shots):
        for turn in example.turns:
            observation = f"{announcement}\n{turn.observation}" if announcement else turn.observation
            messages += [Message("user", observation), Message("assistant", reply(style, turn))]
            announcement = ""
        announcement = f"{example.ending}\n{plain['next']}"
    if shots:
        messages.append(Message("user", announcement))
    return messages


def reply(style: str, turn: ExampleTurn) -> str:
    """A turn as the style writes it."""
    return replies.reply(style, turn.thought, turn.reasoning, turn.action)


@cache
def examples() -> dict[str, Example]:
    """The worked examples by task type."""
    return {
        task_type: Example(
            task_type,
            record["room_seed"],
            tuple(
                ExampleTurn(
                    turn["observation"], turn["thought"], turn.get("reasoning", turn["thought"]), turn["action"]
                )
                for turn in record["turns"]
            ),
            record["ending"],
        )
        for task_type, record in _texts()["examples"].items()
    }


def _chosen(task_type: str, shots: int) -> list[Example]:
    """The type's own example first, the others in a fixed order."""
    ordered = [task_type, *(other for other in TASK_TYPES if other != task_type)]
    return [examples()[chosen] for chosen in ordered[:shots]]


@cache
def _texts() -> dict[str, Any]:
    return yaml.safe_load(resources.files(__package__).joinpath("prompts.yaml").read_text(encoding="utf-8"))


def _check(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{option}={value}: must be one of {', '.join(allowed)}")
