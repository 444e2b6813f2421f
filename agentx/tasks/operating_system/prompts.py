"""The operating-system task's prompts: instruction, reply format and a worked example, in a prompting style."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import yaml

from agentx.conversation import Message
from agentx.errors import ConfigError
from agentx.tasks import replies
from agentx.tasks.operating_system.actions import Command, render
from agentx.tasks.replies import STYLES


def opening(style: str, shots: int, prompt: str = "plain", rounds: int = 8) -> list[Message]:
    """The messages before the first observation, which belongs into the last one where that is the user's.

    Raises ConfigError on an unknown style and on examples that are not there.
    """
    if style not in STYLES:
        raise ConfigError(f"method.style={style}: must be one of {', '.join(STYLES)}")
    texts = _texts()
    most = 0 if prompt == "compact" else 1
    if not 0 <= shots <= most:
        raise ConfigError(f"method.shots={shots}: task.prompt={prompt} of the operating-system task has at most {most}")
    if prompt == "compact":
        return [Message("user", texts["compact"][style])]
    plain = texts["plain"]
    instruction = plain["instruction"].format(rounds=rounds, format=texts["formats"][style])
    messages = [Message("user", instruction), Message("assistant", plain["acknowledgement"])]
    announcement = f"{plain['example']}\n"
    for turn in texts["example"] if shots else []:
        command = Command("bash", turn["script"]) if "script" in turn else Command("answer", turn["answer"])
        messages.append(Message("user", f"{announcement}{turn['observation']}"))
        messages.append(Message("assistant", reply(style, turn["thought"], command, turn["reasoning"])))
        announcement = ""
    if shots:
        messages.append(Message("user", plain["next"]))
    return messages


def reply(style: str, thought: str, command: Command, reasoning: str = "") -> str:
    """A turn as the style writes it; cot writes the `reasoning`, or the thought where there is none."""
    return replies.reply(style, thought, reasoning or thought, render(command))


@cache
def _texts() -> dict[str, Any]:
    return yaml.safe_load(resources.files(__package__).joinpath("prompts.yaml").read_text(encoding="utf-8"))
