"""A problem: what is set up, what is asked, and how an attempt is judged (AgentBench's rules)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from agentx.tasks.environment import TaskDataError
from agentx.tasks.operating_system.sandbox import MOST_ARGUMENT, Finished, Sandbox

_MOST_OUTPUT = 1 << 16
_OTHER_USERS = re.compile(
    r"(?:^|[;&|(`]|\b(?:do|then|else|exec|xargs|sudo)\s)\s*(?:chown|chgrp|su|sudo|runuser|setpriv)\b", re.MULTILINE
)


@dataclass(frozen=True)
class Script:
    code: str
    language: Literal["bash", "python"] = "bash"

    def argv(self, parameters: Sequence[str] = ()) -> list[str]:
        if self.language == "python":
            return ["python3", "-c", self.code, *parameters]
        return ["bash", "-c", self.code, "--", *parameters]


@dataclass(frozen=True)
class ExpertStep:
    """One turn of a reference solution. `uses_output`: the answer is what the step before printed."""

    subtask: str
    thought: str
    script: str = ""
    answer: str = ""


@dataclass(frozen=True)
class Problem:
    """Exactly one of `match`, `pattern` and `checks` is set. A check that is None stands for the example's output."""

    id: str
    kind: str
    description: str
    init: tuple[Script, ...] = ()
    start: str = ""
    match: str | None = None
    pattern: str | None = None
    checks: tuple[Script | None, ...] = ()
    example: Script | None = None
    solution: tuple[ExpertStep, ...] = ()
    """of generated problems"""
    metadata: dict[str, Any] = field(default_factory=dict)


def needs_user_ids(problem: Problem) -> bool:
    """Whether its scripts give files to other users or become them, which a sandbox with a single user id cannot; that
    users are made and counted it can."""
    scripts = [
        *problem.init,
        *(check for check in problem.checks if check),
        *([problem.example] if problem.example else []),
    ]
    return any(_OTHER_USERS.search(text) for text in [problem.start, *(script.code for script in scripts)])


async def prepare(problem: Problem, sandbox: Sandbox, seconds: float) -> None:
    """Run the set-up. Raises TaskDataError where it fails: that is the problem's fault."""
    for script in problem.init:
        finished = await sandbox.run(script.argv(), seconds)
        if finished.status != 0:
            said = " ".join(finished.errors.decode("utf-8", "replace").split())[:200]
            cause = f"took more than {seconds:g} s" if finished.timed_out else f"ended with status {finished.status}"
            raise TaskDataError(f"sample {problem.id}: its set-up {cause} in this sandbox: {said}")


async def passes(problem: Problem, answer: str, sandbox: Sandbox, seconds: float) -> bool:
    """Whether the sandbox's state and `answer` ('' for finish) solve the problem.

    Every check is a process of its own, with the answer and the outputs of those before it as arguments. Raises
    SandboxGone when the sandbox has ended.
    """
    if problem.match is not None:
        return answer.strip() == problem.match.strip()
    if problem.pattern is not None:
        return re.search(problem.pattern, answer.strip()) is not None
    parameters = [_argument(answer)]
    for check in problem.checks:
        script = check or problem.example
        if script is None:
            raise TaskDataError(f"sample {problem.id}: its check needs an example solution and it has none")
        finished: Finished = await sandbox.run(script.argv(parameters), seconds, _MOST_OUTPUT)
        if finished.status != 0 or finished.timed_out:
            return False
        parameters.append(_argument(finished.output.decode("utf-8", "replace")))
    return True


def _argument(text: str) -> str:
    """As much of a text as one argument may hold; null bytes cannot be passed."""
    encoded = text.replace("\0", "").encode("utf-8", "replace")[:MOST_ARGUMENT]
    return encoded.decode("utf-8", "ignore")
