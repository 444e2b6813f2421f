"""The database task's prompts: instruction, reply format and worked examples, rendered for a prompting style."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import yaml

from agentx.conversation import Message
from agentx.errors import ConfigError
from agentx.tasks.database import actions
from agentx.tasks.database.settings import MUTATIONS
from agentx.tasks.replies import STYLES, reply


def opening(kind: str, style: str, shots: int, prompt: str = "plain") -> list[Message]:
    """The messages before the first observation, which belongs into the last one where that is the user's.

    `plain`: instruction, acknowledgement and `shots` worked examples, for a mutation the one of a mutation first.
    `compact`: one line, no examples. Raises ConfigError on an unknown style or prompt and on shots that cannot be had.
    """
    _check("method.style", style, STYLES)
    _check("task.prompt", prompt, ("plain", "compact"))
    texts = _texts()
    examples = texts["examples"] if kind not in MUTATIONS else texts["examples"][::-1]
    if not 0 <= shots <= len(examples):
        raise ConfigError(f"method.shots={shots}: the database task has 0 to {len(examples)} worked examples")
    if prompt == "compact":
        if shots:
            raise ConfigError(f"method.shots={shots}: task.prompt=compact has no examples, use method.shots=0")
        return [Message("user", texts["compact"][style])]
    plain = texts["plain"]
    messages = [
        Message("user", plain["instruction"].format(format=texts["formats"][style])),
        Message("assistant", plain["acknowledgement"]),
    ]
    announcement = plain["example"]
    for example in examples[:shots]:
        observation = f"{announcement}\n{example['description']}"
        for turn in example["turns"]:
            messages += [Message("user", observation), Message("assistant", _reply(style, turn))]
            observation = turn.get("observation", "")
        announcement = plain["next"]
    if shots:
        messages.append(Message("user", announcement))
    return messages


def _reply(style: str, turn: dict[str, Any]) -> str:
    action = actions.operation(turn["statement"]) if "statement" in turn else actions.answer(turn["answer"])
    return reply(style, turn["thought"], turn.get("reasoning", turn["thought"]), action)


@cache
def _texts() -> dict[str, Any]:
    return yaml.safe_load(resources.files(__package__).joinpath("prompts.yaml").read_text(encoding="utf-8"))


def _check(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{option}={value}: must be one of {', '.join(allowed)}")
