"""The two texts of ALFWorld, and translation between them.

With version 0.4 ALFWorld changed what agents read and write. Agents tuned on the one text fail on the other, so which
is used is a setting (`task.text`), whatever text the game files at hand have:

             current (from 0.4)                 classic (up to 0.3, as AgentBench shows it)
    command  move mug 1 to desk 1               put mug 1 in/on desk 1
    command  help                               (none)
    answer   You move the mug 1 to the desk 1.  You put the mug 1 in/on the desk 1.
    answer   You arrive at desk 1. On the …     On the …

The classic engine itself answers "You arrive at loc 12. On the …"; AgentBench, and nearly everyone else, cuts that
sentence before the agent sees it, and so is it done here. In both texts everything else is the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from agentx.conversation import Message
from agentx.tasks.household.settings import Text

# A name as the game shows it ('mug 1'), or a prompt's stand-in for one ('X').
_NAME = r"(?:[a-z]+ \d+|[A-Z])"
_ARRIVAL = re.compile(r"^You arrive at ([a-z]+ \d+)\. ", re.MULTILINE)
_ACTION = re.compile(r"ACTION:(.*)")

_PUT_COMMAND = {
    "current": (re.compile(rf"^put ({_NAME}) in/on ({_NAME})$"), r"move \1 to \2"),
    "classic": (re.compile(rf"^move ({_NAME}) to ({_NAME})$"), r"put \1 in/on \2"),
}
_PUT_ANSWER = {
    "current": (re.compile(rf"\bYou put the ({_NAME}) in/on the ({_NAME})\."), r"You move the \1 to the \2."),
    "classic": (re.compile(rf"\bYou move the ({_NAME}) to the ({_NAME})\."), r"You put the \1 in/on the \2."),
}
_EITHER = (
    rf"(?:go to|open|close|use|examine) {_NAME}|take {_NAME} from {_NAME}"
    rf"|(?:heat|clean|cool|slice) {_NAME} with {_NAME}|look|inventory"
)
_COMMANDS = {
    "current": re.compile(rf"{_EITHER}|move {_NAME} to {_NAME}|help"),
    "classic": re.compile(rf"{_EITHER}|put {_NAME} in/on {_NAME}"),
}


def game_text(game: Mapping[str, Any]) -> Text:
    """The text a game file's own grammar has."""
    return "classic" if "put {o} in/on {r}" in game.get("grammar", "") else "current"


def command_in(text: Text, command: str) -> str:
    """A command in `text`, from whichever text it is in. `help` has no classic form and stays."""
    pattern, replacement = _PUT_COMMAND[text]
    return pattern.sub(replacement, command)


def offered(text: Text, commands: Iterable[str]) -> dict[str, str]:
    """Available commands as `text` words them, in its order, each with the engine's own wording."""
    worded = {command_in(text, command): command for command in commands}
    if text == "classic":
        worded.pop("help", None)
    return dict(sorted(worded.items()))


def answer_in(text: Text, answer: str, command: str = "") -> str:
    """What the game answered to `command`, in `text`, from whichever text it is in.

    The command (in either text) is needed for the sentence that only the current text shows, on arriving somewhere.
    """
    pattern, replacement = _PUT_ANSWER[text]
    answer = pattern.sub(replacement, answer)
    if text == "classic":
        return _ARRIVAL.sub("", answer)
    destination = command.removeprefix("go to ")
    if destination == command or answer.startswith((f"You arrive at {destination}. ", "Nothing happens.")):
        return answer
    return f"You arrive at {destination}. {_ARRIVAL.sub('', answer, count=1)}"


def prompt_in(text: Text, messages: Iterable[Message]) -> list[Message]:
    """A prompt written in the current text, in `text`: worked examples, their actions and the list of commands."""
    if text == "current":
        return list(messages)
    return [
        Message(message.role, _reply_in(text, message.content), message.trained)
        if message.role == "assistant"
        else Message(message.role, _instruction_in(text, message.content), message.trained)
        for message in messages
    ]


def mismatch(replies: Iterable[str], text: Text) -> list[str]:
    """The actions in the agent's replies (their 'ACTION:' lines) that no game in `text` ever offers, in order.

    A full stop at the end is let pass. Replies without such a line are of another task and are left out.
    """
    lines = [found.group(1) for reply in replies if (found := _ACTION.search(reply))]
    actions = [line.strip().lower().removesuffix(".") for line in lines]
    return [action for action in actions if not _COMMANDS[text].fullmatch(action)]


def _reply_in(text: Text, reply: str) -> str:
    return _ACTION.sub(lambda found: f"ACTION: {command_in(text, found.group(1).strip())}", reply)


def _instruction_in(text: Text, content: str) -> str:
    lines = []
    for line in answer_in(text, content).split("\n"):
        mark = "- " if line.startswith("- ") else ""
        lines.append(mark + command_in(text, line.removeprefix(mark)))
    return "\n".join(lines)
