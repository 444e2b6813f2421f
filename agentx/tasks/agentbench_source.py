"""What AgentBench 0.2 tells a model, read from the Python source of the user's checkout.

Its OS and DB prompts stand in code. The source is parsed and its literals are taken; nothing of it is ever run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentx.conversation import Message
from agentx.tasks.environment import TaskDataError

_LONGEST = 1 << 20
"""bytes; AgentBench's own are under 20,000"""


def read_source(agentbench: Path | None, name: str) -> tuple[Path, ast.Module]:
    """`src/server/tasks/<name>` of the checkout whose data folder is `agentbench`, parsed.

    Raises TaskDataError where it is missing or not Python.
    """
    if agentbench is None:
        raise TaskDataError("task.replies=agentbench: set paths.agentbench to the data folder of AgentBench's checkout")
    path = agentbench.resolve().parent / "src" / "server" / "tasks" / name
    try:
        if path.stat().st_size > _LONGEST:
            raise TaskDataError(f"{path}: too long for AgentBench's file; check out its version 0.2 anew")
        return path, ast.parse(path.read_bytes())
    except OSError as error:
        raise TaskDataError(
            f"task.replies=agentbench: {path}: not readable ({error.strerror}); its prompts are in the checkout that "
            "paths.agentbench is the data folder of"
        ) from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise unlike(path) from error


def unlike(path: Path) -> TaskDataError:
    """The error for a file that is not in the form the prompts are taken from."""
    return TaskDataError(f"{path}: not in the form of AgentBench 0.2; check out that version (git checkout v0.2)")


def literals(tree: ast.Module) -> dict[str, Any]:
    """The names that are assigned literals, wherever that is."""
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            try:
                value = ast.literal_eval(node.value)
            except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                continue
            found |= {target.id: value for target in node.targets if isinstance(target, ast.Name)}
    return found


def injected(tree: ast.Module) -> list[Message]:
    """The fixed messages that open the dialogue: the arguments of `session.inject` in the source's order, up to the
    first that is not a literal or the name of one."""
    known = literals(tree)
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "inject"
    ]
    found = []
    for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
        fields = _fields(call, known)
        if fields is None:
            break
        found.append(message(fields["role"], fields["content"]))
    return found


def message(role: object, content: object) -> Message:
    """AgentBench's roles are user and agent."""
    return Message("user" if role == "user" else "assistant", str(content))


def put_before(node: ast.AST, name: str) -> Iterator[str]:
    """The literal texts that stand before `name` in a sum, e.g. of `"Problem: " + config.description`; `name` is a
    variable's, an attribute's or an index's."""
    for part in ast.walk(node):
        if not isinstance(part, ast.BinOp) or not isinstance(part.op, ast.Add):
            continue
        text = getattr(part.left, "value", None)
        if isinstance(part.left, ast.Constant) and isinstance(text, str) and name in _names(part.right):
            yield text


def _names(node: ast.AST) -> set[str]:
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return names | {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}


def _fields(call: ast.Call, known: dict[str, Any]) -> dict[str, str] | None:
    if len(call.args) != 1 or not isinstance(call.args[0], ast.Dict):
        return None
    fields: dict[str, str] = {}
    for key, value in zip(call.args[0].keys, call.args[0].values, strict=True):
        text = known.get(value.id) if isinstance(value, ast.Name) else getattr(value, "value", None)
        if not isinstance(key, ast.Constant) or not isinstance(text, str):
            return None
        fields[str(key.value)] = text
    return fields if {"role", "content"} <= set(fields) else None
