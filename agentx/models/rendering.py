"""Conversations to tokens: one renderer for tuning and for every back end that runs in this process.

A chat template is first rendered with a marker in place of each message. What stands between the markers is
the template's own text, so every token is emitted knowing which message it belongs to, and the tokens marked
as trained are exactly those that generation would have to produce. On ordinary conversations the tokens equal
`tokenizer.apply_chat_template`. They differ on purpose where a message contains control strings of the
template: there, the text stays what it is but never becomes a control token, so that no message can forge a turn.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2.exceptions import TemplateError

from agentx.conversation import Message, Role
from agentx.errors import UserError
from agentx.models.choices import ChoiceTokens
from agentx.models.encoding import ContextualEncoder, RenderedTokens
from agentx.models.trimming import trim

TEMPLATES = Path(__file__).parent / "templates"
TEXT_MARKERS = ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "GPT4 User:", "GPT4 Assistant:")
"""Turn markers of known templates that are plain text and not tokens of their own."""


@dataclass(frozen=True)
class _Layout:
    """The template's own text around n messages: n + 1 literals; `reply_starts[i]` is how much of literal i the
    generation prompt covers, or None where message i is no reply or the template rewrites earlier turns."""

    literals: tuple[str, ...]
    reply_starts: tuple[int | None, ...]


class Renderer:
    """Writes conversations with one tokenizer and one template: `tokenizer` for the tokenizer's own, or the
    name of a file in agentx/models/templates.

    Raises UserError when tokenizer and template do not go together.
    """

    def __init__(self, tokenizer: Any, template: str = "tokenizer", system_prompt: str = "") -> None:
        self.template = template
        self.system_prompt = system_prompt
        self.jinja = self._read_template(tokenizer, template)
        self._tokenizer = tokenizer
        self.encoder = ContextualEncoder(tokenizer)
        self._layout = lru_cache(maxsize=4096)(self._find_layout)
        self.choices = lru_cache(maxsize=256)(self._write_choices)
        # Whether a prompt fits is asked before each call; branches and the call cache ask for the same prompt again.
        self._prompt = lru_cache(maxsize=64)(self._write_prompt)
        exchange = self._layout(("user", "assistant", "user"), False)
        written = "".join(exchange.literals)
        self.encoder.protect(marker for marker in TEXT_MARKERS if marker in self.jinja or marker in written)
        for control in re.findall(r"<\|\w+\|>", written):
            if control not in self.encoder.controls:
                raise UserError(
                    f"chat template {template!r} writes {control}, which is no token of this model's tokenizer; "
                    "choose the template the model was trained with, e.g. model.chat_template=tokenizer"
                )
        closing = self.encoder.control_pattern.search(exchange.literals[2])
        ends = [getattr(tokenizer, "eos_token", None), closing.group() if closing else None]
        self.end_token_ids = frozenset(self.encoder.controls[end] for end in ends if end in self.encoder.controls)

    @staticmethod
    def _read_template(tokenizer: Any, template: str) -> str:
        if template != "tokenizer":
            path = TEMPLATES / f"{template}.jinja"
            if not path.is_file():
                known = ", ".join(sorted(file.stem for file in TEMPLATES.glob("*.jinja")))
                raise UserError(f"model.chat_template={template}: no such template; there is tokenizer, {known}")
            return path.read_text(encoding="utf-8")
        carried = getattr(tokenizer, "chat_template", None)
        if isinstance(carried, dict):
            carried = carried.get("default")
        if not carried:
            raise UserError(
                "the tokenizer carries no chat template; set model.chat_template to the one the model was trained "
                "with: llama2, openchat, chatml or tiny"
            )
        return str(carried)

    @property
    def sha256(self) -> str:
        """Identifies what is written around the messages; tuned adapters record it."""
        return hashlib.sha256(f"{self.jinja}\0{self.system_prompt}".encode()).hexdigest()

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> RenderedTokens:
        """Tokens of the whole conversation.

        Raises UserError when the template refuses the conversation, rewrites what messages say, or leaves no exact
        place for the reply of a trained message.
        """
        added = int(bool(self.system_prompt) and bool(messages) and messages[0].role != "system")
        if added:
            messages = [Message("system", self.system_prompt), *messages]
        layout = self._layout(tuple(message.role for message in messages), add_generation_prompt)
        contents = self._match(messages, add_generation_prompt, layout)
        out = RenderedTokens([], [], [])
        writer = self.encoder.writer(out)
        reply: Message | None = None
        for i, literal in enumerate(layout.literals):
            if reply is not None:
                end = self._end_of_reply(literal)
                if reply.trained and end is None:
                    raise UserError(
                        f"the chat template does not close message {i - 1} with a token, so it cannot be trained"
                    )
                writer.write(literal[:end], i - 1 - added, reply.trained)
                literal = literal[end:]
            elif i and literal:
                closing = self._end_of_reply(literal) or 0
                writer.write(literal[:closing], i - 1 - added, False)
                literal = literal[closing:]
            if i == len(messages):
                writer.write(literal, -1 if add_generation_prompt else i - 1 - added, False)
                break
            message, start = messages[i], layout.reply_starts[i]
            if message.trained and start is None:
                raise UserError(
                    f"the chat template writes message {i - added} otherwise than generation would see it, so it "
                    "cannot be trained; use a template that leaves earlier turns as they are"
                )
            reply = message if start is not None else None
            if start is None:
                writer.write(literal, i - added, False)
            else:
                head = len(literal) - (len(layout.literals[i]) - start)
                writer.write(literal[:head], i - added, False)
                writer.begin_reply()
                writer.write(literal[head:], i - added, message.trained)
            writer.write(contents[i], i - added, message.trained, content=True)
        writer.flush()
        bos = getattr(self._tokenizer, "bos_token_id", None)
        if bos is not None and out.ids[:2] == [bos, bos]:
            raise UserError("the chat template begins with two BOS tokens; remove one of them from the template")
        return out

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """What a model is given to reply to `messages`."""
        return list(self._prompt(tuple(messages)))

    def _write_prompt(self, messages: tuple[Message, ...]) -> tuple[int, ...]:
        return tuple(self.render(messages, add_generation_prompt=True).ids)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Length of `prompt(messages)`."""
        return len(self._prompt(tuple(messages)))

    def _write_choices(self, choices: tuple[str, ...]) -> ChoiceTokens:
        """The tokens of each of `choices` as a reply: those that tuning would mark as trained.

        Raises UserError where the template leaves no exact place for a reply.
        """
        asked = Message("user", "?")
        sequences: dict[str, list[int]] = {}
        for choice in choices:
            rendered = self.render([asked, Message("assistant", choice, trained=True)])
            sequences[choice] = [
                token for token, trained in zip(rendered.ids, rendered.trained, strict=True) if trained
            ]
        return ChoiceTokens(sequences)

    def begins_with_blank(self, reply: str) -> bool:
        """Whether the tokenizer writes a blank before `reply`, as sentencepiece does after a control token."""
        first = next(iter(self.choices((reply,)).sequences.values()))[0]
        return str(self._tokenizer.convert_ids_to_tokens(first)).startswith("▁")

    def decode(self, ids: Sequence[int]) -> str:
        """Text of a reply, control tokens left out."""
        return self.encoder.decode(ids)

    def trim(self, messages: Sequence[Message], max_tokens: int) -> list[Message]:
        """The conversation within `max_tokens` of prompt; see `trimming.trim`."""
        return trim(messages, max_tokens, self.count_tokens)

    def _end_of_reply(self, literal: str) -> int | None:
        """How far the text after a message still belongs to it: to the end of the first control token."""
        match = self.encoder.control_pattern.search(literal)
        return match.end() if match else None

    def _apply(self, records: list[dict[str, str]], add_generation_prompt: bool) -> str:
        try:
            return self._tokenizer.apply_chat_template(
                records, chat_template=self.jinja, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        except (TemplateError, TypeError, KeyError, IndexError) as error:
            raise UserError(f"the chat template {self.template!r} refuses this conversation: {error}") from error

    def _find_layout(self, roles: tuple[Role, ...], add_generation_prompt: bool) -> _Layout:
        markers = [f"\ue000{i}\ue001" for i in range(len(roles))]
        records = [{"role": role, "content": marker} for role, marker in zip(roles, markers, strict=True)]
        text = self._apply(records, add_generation_prompt)
        parts = re.split("\ue000(\\d+)\ue001", text)
        if [int(index) for index in parts[1::2]] != list(range(len(roles))):
            raise UserError(
                f"the chat template {self.template!r} does not write every message once and in order; set "
                "model.chat_template to one that does"
            )
        literals = tuple(parts[0::2])
        starts: list[int | None] = []
        position = 0
        for i, role in enumerate(roles):
            start = None
            if role == "assistant" and i:
                before = self._layout(roles[:i], True)
                given = _join(before.literals, markers)
                if text.startswith(given) and position <= len(given) <= position + len(literals[i]):
                    start = len(given) - position
            starts.append(start)
            position += len(literals[i]) + len(markers[i])
        return _Layout(literals, tuple(starts))

    def _match(self, messages: Sequence[Message], add_generation_prompt: bool, layout: _Layout) -> list[str]:
        """What the template made of each content (as it is, or stripped), checked against a true rendering."""
        records = [{"role": message.role, "content": message.content} for message in messages]
        text = self._apply(records, add_generation_prompt)
        contents: list[str] = []
        position = len(layout.literals[0])
        for i, message in enumerate(messages):
            raw, following = message.content, layout.literals[i + 1]
            for candidate in (raw, raw.strip(), raw.rstrip(), raw.lstrip()):
                end = position + len(candidate)
                if text.startswith(candidate + following, position) and (
                    i < len(messages) - 1 or end + len(following) == len(text)
                ):
                    contents.append(candidate)
                    position = end + len(following)
                    break
            else:
                raise UserError(
                    f"the chat template {self.template!r} rewrites message {i}, so its tokens cannot be found exactly; "
                    "set model.chat_template to one that writes messages as they are"
                )
        return contents


def _join(literals: Sequence[str], between: Sequence[str]) -> str:
    return "".join(part for pair in zip(literals, [*between[: len(literals) - 1], ""], strict=True) for part in pair)
