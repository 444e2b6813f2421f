"""Prompting styles: what a reply looks like, how it is read, and what of it stays in the history.

io: `ACTION: x`. cot: free reasoning, then a line `ACTION: x`. react: `THOUGHT: t`, then `ACTION: x`.
The action is what follows the first `ACTION:` (AgentBench's rule), to the end of its line. Every deviation that is
read nevertheless is named in `ParsedReply.forgiven`; without an action to be found the reply holds None.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentx.errors import ConfigError
from agentx.reasoning import prompts
from agentx.reasoning.settings import STYLES

_ACTION = re.compile(r"(?<![A-Za-z])ACTION:")
_ACTION_LOOSE = re.compile(r"(?<![A-Za-z])ACTION(?:\*\*|[ \t]{1,2})?:", re.IGNORECASE)
_THOUGHT = re.compile(r"(?<![A-Za-z])THOUGHT:")
_THOUGHT_LOOSE = re.compile(r"(?<![A-Za-z])THOUGHT(?:\*\*|[ \t]{1,2})?:", re.IGNORECASE)
_WRAPPERS = ("**", "```", '"', "'", "`", "<")


@dataclass(frozen=True)
class ParsedReply:
    """A reply as the style reads it. `forgiven` names, in a fixed vocabulary, what was not as it should be: label,
    inline_label, code_fence, markup, trailing_text, several_actions, leading_text, missing_thought,
    missing_thought_label."""

    action: str | None
    thought: str = ""
    forgiven: tuple[str, ...] = ()


def normalise(action: str, *, multiline: bool = False) -> str:
    """The form in which two actions count as the same: case and spacing do not matter in one-line commands; in
    code and queries both do."""
    return action.strip() if multiline else " ".join(action.split()).casefold()


class Style:
    """One prompting style; `name` is io, cot or react. Raises ConfigError on another."""

    def __init__(self, name: str, *, multiline: bool = False) -> None:
        if name not in STYLES:
            raise ConfigError(f"method.style={name}: must be one of {', '.join(STYLES)}")
        self.name = name
        self.multiline = multiline

    @property
    def format_instruction(self) -> str:
        """What tells the model the format; tasks put it into their instruction."""
        instruction = prompts.text("styles", self.name)
        return f"{instruction}\n{prompts.text('styles', 'multiline')}" if self.multiline else instruction

    def parse(self, reply: str) -> ParsedReply:
        """Never raises, takes time linear in the reply."""
        forgiven: list[str] = []
        body = reply.replace("\r\n", "\n").strip()
        unfenced = body if self.multiline else _without_fences(body)
        if unfenced != body:
            forgiven.append("code_fence")
        label = _ACTION.search(unfenced)
        if label is None:
            label = _ACTION_LOOSE.search(unfenced)
            if label is None:
                return ParsedReply(None, body if self.name != "io" else "", tuple(forgiven))
            forgiven.append("label")
        head, tail = unfenced[: label.start()], unfenced[label.end() :]
        marked = False
        if head and not head.endswith("\n"):
            bare = head.rstrip("*_ \t")
            marked = not bare or bare.endswith("\n")
            forgiven.append("markup" if marked else "inline_label")
            head = bare
        action, rest = (tail.strip(), "") if self.multiline else self._one_line(tail, "code_fence" in forgiven)
        if not self.multiline:
            bare = _without_markup(action.strip("*_ \t") if marked else action)
            if bare != action:
                forgiven.append("markup")
            action = bare
        if rest.strip():
            forgiven.append("several_actions" if _ACTION_LOOSE.search(rest) else "trailing_text")
        thought = self._thought(head.strip(), forgiven)
        return ParsedReply(action or None, thought, tuple(dict.fromkeys(forgiven)))

    def render(self, thought: str, action: str) -> str:
        """The reply that parses to (thought, action); io drops the thought. Raises ValueError on a thought or an
        action that this format cannot carry (a line break or a label inside, spaces around)."""
        reply = self._compose(thought, action)
        parsed = self.parse(reply)
        expected = "" if self.name == "io" else thought
        if (parsed.action, parsed.thought) != (action, expected):
            raise ValueError(f"style {self.name} cannot carry thought {thought!r:.200} with action {action!r:.200}")
        return reply

    def history_text(self, reply: str, parsed: ParsedReply) -> str:
        """What stays in the history: the action line, with react the thought before it. A reply in the style's
        format comes back as it is; one without an action stays whole, so that the model can see what was wrong."""
        if parsed.action is None:
            return reply.strip()
        return self._compose(parsed.thought if self.name == "react" else "", parsed.action)

    def _compose(self, thought: str, action: str) -> str:
        line = f"ACTION: {action}"
        if not thought or self.name == "io":
            return line
        return f"THOUGHT: {thought}\n{line}" if self.name == "react" else f"{thought}\n{line}"

    @staticmethod
    def _one_line(tail: str, fenced: bool) -> tuple[str, str]:
        first, _, rest = tail.partition("\n")
        if fenced and not first.strip():
            first, _, rest = rest.lstrip().partition("\n")
        return first.strip(), rest

    def _thought(self, head: str, forgiven: list[str]) -> str:
        if self.name == "io":
            if head:
                forgiven.append("leading_text")
            return ""
        if not head:
            forgiven.append("missing_thought")
            return ""
        if self.name == "cot":
            return head
        label = _THOUGHT.search(head)
        if label is None:
            label = _THOUGHT_LOOSE.search(head)
            if label is None:
                forgiven.append("missing_thought_label")
                return head
            forgiven.append("label")
        before, thought = head[: label.start()], head[label.end() :].strip()
        if before.endswith("*"):
            forgiven.append("markup")
            before, thought = before.rstrip("*"), thought.strip("* ")
        if before.strip():
            forgiven.append("leading_text")
        if not thought:
            forgiven.append("missing_thought")
        return thought


def _without_fences(body: str) -> str:
    if "```" not in body:
        return body
    lines = [line for line in body.split("\n") if not (line.strip().startswith("```") and line.count("`") == 3)]
    return "\n".join(lines).strip()


def _without_markup(action: str) -> str:
    for opening in _WRAPPERS:
        closing = ">" if opening == "<" else opening
        inner = action[len(opening) : -len(closing)]
        wrapped = len(action) > len(opening + closing) and action.startswith(opening) and action.endswith(closing)
        if wrapped and opening not in inner and closing not in inner:
            return inner.strip()
    return action
