"""What an action may be: a bash script in a fence, `finish`, or `answer(...)`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["bash", "finish", "answer"]

_FENCED = re.compile(r"```(?:bash|sh)?[ \t]*\n(.*?)(?:\n)?```", re.DOTALL)
_ONE_LINE = re.compile(r"```(?:bash |sh )?([^`\n]+)```")


@dataclass(frozen=True)
class Command:
    """A read action: `text` is the script or the answer, '' for finish. `forgiven` names deviations: missing_word,
    several_blocks, extra_text, one_line_fence, unclosed_fence, letter_case."""

    kind: Kind
    text: str = ""
    forgiven: tuple[str, ...] = ()


def parse(action: str | None) -> Command | None:
    """None when it is none of the three. Never raises, takes time linear in the action."""
    if action is None:
        return None
    written = action.strip()
    forgiven: list[str] = []
    lowered = written[:8].lower()
    if lowered.startswith("answer("):
        if not written.startswith("answer("):
            forgiven.append("letter_case")
        end = written.rfind(")")
        if end < 0:
            return None
        if written[end + 1 :].strip():
            forgiven.append("extra_text")
        return Command("answer", written[len("answer(") : end].strip(), tuple(forgiven))
    if lowered.startswith("finish") and not written[6:7].isalnum():
        if not written.startswith("finish"):
            forgiven.append("letter_case")
        if written[6:].strip(" .()"):
            forgiven.append("extra_text")
        return Command("finish", "", tuple(forgiven))
    return _script(written, lowered)


def _script(written: str, lowered: str) -> Command | None:
    if "```" not in written:
        return None
    forgiven: list[str] = []
    if not lowered.startswith("bash"):
        forgiven.append("missing_word")
    if written.count("```") % 2:
        forgiven.append("unclosed_fence")
        written += "\n```"
    blocks = _FENCED.findall(written)
    rest = _FENCED.sub("", written)
    if not blocks:
        blocks, rest = _ONE_LINE.findall(written), _ONE_LINE.sub("", written)
        forgiven.append("one_line_fence")
    if not blocks:
        return None
    if len(blocks) > 1:
        forgiven.append("several_blocks")
    if rest.strip().lower() not in ("bash", ""):
        forgiven.append("extra_text")
    script = "\n".join(blocks).strip("\n")
    return Command("bash", script, tuple(forgiven)) if script.strip() else None


def render(command: Command) -> str:
    """The action in its own form; `parse` reads it back."""
    if command.kind == "bash":
        return f"bash\n```bash\n{command.text}\n```"
    return f"answer({command.text})" if command.kind == "answer" else "finish"
