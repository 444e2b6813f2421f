"""How a reply is written in each prompting style: what worked examples show and scripted experts say.

Reading replies is `agentx.reasoning.styles`' part; tests hold the two together.
"""

from __future__ import annotations

STYLES = ("io", "cot", "react")


def reply(style: str, thought: str, reasoning: str, action: str) -> str:
    """The reply in `style`: io the action alone, cot the reasoning before it, react the thought."""
    line = f"ACTION: {action}"
    if style == "io":
        return line
    return f"{reasoning}\n{line}" if style == "cot" else f"THOUGHT: {thought}\n{line}"
