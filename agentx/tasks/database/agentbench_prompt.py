"""AgentBench's prompt and reply format for the database task, from the user's checkout."""

from __future__ import annotations

import re
from pathlib import Path

from agentx.conversation import Message
from agentx.tasks.agentbench_source import injected, read_source, unlike
from agentx.tasks.database.actions import Answer, Operation

_ACTION = re.compile(r"Action: (.*?)\n")
_ANSWER = re.compile(r"\nFinal Answer:(.*)")
_OPENED, _CLOSED = "```sql\n", "\n```"


def read_opening(agentbench: Path | None) -> tuple[Message, ...]:
    """The messages before a sample's description: the instruction and what the agent says to it, of
    `dbbench/__init__.py`. Raises TaskDataError."""
    path, tree = read_source(agentbench, "dbbench/__init__.py")
    found = injected(tree)[:2]
    if [message.role for message in found] != ["user", "assistant"] or "sql" not in found[0].content.lower():
        raise unlike(path)
    return tuple(found)


def read_reply(reply: str) -> Operation | Answer | None:
    """By AgentBench's rules: the first `Action:` line decides; where it is Operation, the first SQL block is run, else
    the reply has to hold a final answer. None where it does not. Takes time linear in the reply."""
    action = _ACTION.search(reply)
    if action is not None and action.group(1) == "Operation":
        start = reply.find(_OPENED)
        end = reply.find(_CLOSED, start + len(_OPENED)) if start >= 0 else -1
        return Operation(reply[start + len(_OPENED) : end].strip()) if end >= 0 else None
    answer = _ANSWER.search(reply)
    return None if answer is None else Answer(answer.group(1).strip())
