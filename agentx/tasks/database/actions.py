"""What an action of the database task says: run a statement, or give the answer.

    Operation                    Answer
    ```sql                       Final Answer: ["..."]
    SELECT ...
    ```

Read by AgentBench's rules: anything whose first line is not `Operation` has to hold a final answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_OPENED, _CLOSED = "```sql\n", "\n```"
_ANSWER = re.compile(r"\nFinal Answer:(.*)")


@dataclass(frozen=True)
class Operation:
    statement: str
    notices: tuple[str, ...] = ()
    """of: surrounding_text, several_blocks"""


@dataclass(frozen=True)
class Answer:
    text: str
    notices: tuple[str, ...] = ()
    """of: action_word, surrounding_text"""


def parse(text: str | None) -> Operation | Answer | None:
    """None where the text holds neither in the right form. Never raises, takes time linear in the text."""
    if text is None:
        return None
    first, _, rest = text.replace("\r\n", "\n").strip().partition("\n")
    notices: list[str] = []
    if first.strip() == "Operation":
        before, _, opened = rest.partition(_OPENED)
        statement, closed, after = opened.partition(_CLOSED)
        if not closed:
            return None
        if before.strip() or after.strip():
            notices.append("several_blocks" if _OPENED in after else "surrounding_text")
        return Operation(statement.strip(), tuple(notices))
    answer = _ANSWER.search(f"\n{rest}")
    if answer is None:
        return None
    if first.strip() != "Answer":
        notices.append("action_word")
    if len(rest.strip()) > len(answer.group(0).strip()):
        notices.append("surrounding_text")
    return Answer(answer.group(1).strip(), tuple(notices))


def operation(statement: str) -> str:
    """The action that runs `statement`."""
    return f"Operation\n```sql\n{statement}\n```"


def answer(values: list[str]) -> str:
    """The action that answers with `values`."""
    return f"Answer\nFinal Answer: {values!r}"
