"""AgentBench's prompt for Mind2Web, taken from its own files: worked examples, and the wording of a question."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agentx.conversation import Message
from agentx.tasks.environment import TaskDataError

_FILES = {"io": "llm_prompt.json", "cot": "llm_prompt_cot.json", "react": "llm_prompt_cot.json"}
_EXAMPLE = re.compile(
    r"(?P<fence>'''\n).+?(?P<after_page>\n'''\n\n.+?\nTask: )[^\n]*(?P<after_task>\nPrevious actions:\n)"
    r"(?P<nothing>[^\n]+)(?P<question>\n(?:[^\n]+\n)*\nA\. [^\n]+\n)B\. ",
    re.DOTALL,
)


@dataclass(frozen=True)
class AgentBenchPrompt:
    """`opening` are the worked examples; the other fields are the question's fixed parts, in their order."""

    opening: tuple[Message, ...]
    fence: str
    after_page: str
    after_task: str
    nothing: str
    question: str

    def ask(self, page: str, task: str, previous: Sequence[str], choices: Sequence[str]) -> str:
        """The question about a page; `choices` without their letters, from B on."""
        listed = "".join(f"{letter}. {choice}\n" for letter, choice in zip("BCDEF", choices, strict=False))
        before = "\n".join(previous) or self.nothing
        return f"{self.fence}{page}{self.after_page}{task}{self.after_task}{before}{self.question}{listed}"


def read_prompt(agentbench: Path | None, style: str) -> AgentBenchPrompt:
    """The prompt with reasoning for cot and react, without for io.

    Raises TaskDataError where the file is missing, is no list of messages, or its first question is not in the form
    the wording is taken from.
    """
    if agentbench is None:
        raise TaskDataError("task.replies=agentbench: set paths.agentbench to AgentBench's data folder")
    path = agentbench / "mind2web" / "prompt" / _FILES[style]
    try:
        records = json.loads(path.read_bytes())
        messages = [
            Message("user" if record["role"] == "user" else "assistant", str(record["content"])) for record in records
        ]
        found = _EXAMPLE.match(messages[0].content)
    except OSError as error:
        raise TaskDataError(f"{path}: not readable ({error.strerror}); set paths.agentbench") from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise TaskDataError(f"{path}: not a list of messages with role and content; download it anew") from error
    # The last message is where the question goes.
    if found is None or len(messages) < 2 or messages[-1].role != "user":
        raise TaskDataError(f"{path}: its first message is not a question in AgentBench's form; download it anew")
    return AgentBenchPrompt(tuple(messages[:-1]), *found.group(*_EXAMPLE.groupindex))
