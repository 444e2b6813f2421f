"""The WebShop task's prompts: instruction, reply format and a worked example, rendered for a prompting style."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import yaml

from agentx.conversation import Message
from agentx.errors import ConfigError
from agentx.tasks.replies import STYLES, reply
from agentx.tasks.webshop.settings import Prompt


def opening(style: str, shots: int, prompt: Prompt = "plain", rounds: int = 10) -> list[Message]:
    """The messages before the first observation, which belongs into the last one where that is the user's.

    `plain`: instruction, acknowledgement and at most one worked example. `compact`: one line, no example. Raises
    ConfigError on an unknown style and on shots that cannot be had.
    """
    if style not in STYLES:
        raise ConfigError(f"method.style={style}: must be one of {', '.join(STYLES)}")
    texts = _texts()
    if prompt == "compact":
        if shots:
            raise ConfigError(f"method.shots={shots}: task.prompt=compact has no examples, use method.shots=0")
        return [Message("user", texts["compact"][style])]
    if shots not in (0, 1):
        raise ConfigError(f"method.shots={shots}: the webshop task has 0 or 1 worked examples")
    plain = texts["plain"]
    instruction = plain["instruction"].format(format=texts["formats"][style], rounds=rounds)
    messages = [Message("user", instruction), Message("assistant", plain["acknowledgement"])]
    if shots:
        announcement = f"{plain['example']}\n"
        for turn in texts["example"]["turns"]:
            messages += [
                Message("user", announcement + turn["observation"]),
                Message("assistant", reply(style, turn["thought"], turn["reasoning"], turn["action"])),
            ]
            announcement = ""
        messages.append(Message("user", f"{texts['example']['ending']}\n{plain['next']}"))
    return messages


@cache
def _texts() -> dict[str, Any]:
    return yaml.safe_load(resources.files(__package__).joinpath("prompts.yaml").read_text(encoding="utf-8"))
