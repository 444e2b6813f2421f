"""AgentBench's prompt and reply format for the operating-system task, from the user's checkout."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agentx.conversation import Message
from agentx.tasks.agentbench_source import injected, literals, message, put_before, read_source, unlike
from agentx.tasks.operating_system.actions import Command

_ACT = re.compile(r"Act:\s*(.+)")
_OPENED, _CLOSED = "```bash\n", "\n```"


@dataclass(frozen=True)
class AgentBenchPrompt:
    """`opening` ends with the user's message that the problem's description is put behind, on a line of its own."""

    opening: tuple[Message, ...]
    output: str
    """what stands before a script's output"""
    nothing: str
    """what is said of a script without output"""

    def shown(self, output: str) -> str:
        return f"{self.output}{output}" if output else self.nothing


def read_prompt(agentbench: Path | None) -> AgentBenchPrompt:
    """Instruction, worked example and wording of `os_interaction/task.py`. Raises TaskDataError."""
    path, tree = read_source(agentbench, "os_interaction/task.py")
    example = literals(tree).get("ONE_SHOT")
    instruction = injected(tree)[:1]
    first = next(put_before(tree, "ONE_SHOT"), None)
    problems = [text for node in _calls(tree) for text in put_before(node, "description")]
    outputs = [(node, next(put_before(node.body, "result"), None)) for node in _choices(tree)]
    wording = next(((text, node.orelse) for node, text in outputs if text is not None), None)
    try:
        turns = [message(turn["role"], turn["content"]) for turn in example or ()]
        assert first is not None and wording is not None and isinstance(wording[1], ast.Constant)
        assert instruction and turns and turns[0].role == "user" and turns[-1].role == "assistant"
        opening = [
            Message("user", f"{instruction[0].content}{first}{turns[0].content}"),
            *turns[1:],
            # The description follows after a line feed, which its dialogue puts there.
            Message("user", problems[-1].removesuffix("\n")),
        ]
    except (AssertionError, KeyError, TypeError, IndexError) as error:
        raise unlike(path) from error
    return AgentBenchPrompt(tuple(opening), wording[0], str(wording[1].value))


def read_reply(reply: str) -> Command | None:
    """By AgentBench's rules: the last `Act:` that is bash, finish or answer(...) counts, and all scripts of the reply
    are run as one. None where there is no such line. Takes time linear in the reply."""
    for act in reversed(_ACT.findall(reply)):
        lowered = act[:6].lower()
        if lowered.startswith("bash"):
            return Command("bash", "\n\n".join(_scripts(reply)))
        if lowered == "finish":
            return Command("finish")
        if lowered == "answer":
            opened, closed = act.find("(", 6), act.rfind(")")
            if opened >= 0 and closed >= 0:
                return Command("answer", act[opened + 1 : closed].strip())
    return None


def _scripts(reply: str) -> Iterator[str]:
    place = reply.find(_OPENED)
    while place >= 0:
        end = reply.find(_CLOSED, place + len(_OPENED))
        if end < 0:
            return
        yield reply[place + len(_OPENED) : end]
        place = reply.find(_OPENED, end + len(_CLOSED))


def _calls(tree: ast.Module) -> list[ast.Call]:
    return [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "inject"
    ]


def _choices(tree: ast.Module) -> list[ast.IfExp]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.IfExp)]
