"""Text to tokens in context: pieces of a rendered conversation, encoded so that messages stay messages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from agentx.errors import UserError


@dataclass
class RenderedTokens:
    """Parallel lists, one entry a token. `messages` holds the index of the message the token belongs to (its
    header included), -1 for the generation prompt and for a system message that the renderer added."""

    ids: list[int]
    trained: list[bool]
    messages: list[int]


class ContextualEncoder:
    """Encodes text as the tokenizer would where that text stands: after a control token, or after other text.

    Works on the Rust tokenizer underneath, whose encode and decode, unlike the wrapper's, are safe to call from
    several threads at once. `controls` maps every added token's text to its id.
    """

    def __init__(self, tokenizer: Any) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise UserError(
                "the model's tokenizer has no tokenizer.json; save it once as a fast tokenizer beside the model"
            )
        backend.no_truncation()
        backend.no_padding()
        self._backend = backend
        added = backend.get_added_tokens_decoder()
        self.controls: dict[str, int] = {token.content: index for index, token in added.items()}
        self._control_ids = frozenset(added)
        self.control_pattern = _any_of(self.controls)
        self._hostile = self.control_pattern
        self._cached = lru_cache(maxsize=8192)(self._encode_after)

    def protect(self, markers: Iterable[str]) -> None:
        """Also spell out these strings where a message contains them."""
        self._hostile = _any_of([*self.controls, *markers])

    def writer(self, out: RenderedTokens) -> ChunkWriter:
        return ChunkWriter(self, out)

    def decode(self, ids: Sequence[int]) -> str:
        return self._backend.decode(
            [index for index in ids if index not in self._control_ids], skip_special_tokens=False
        )

    def encode(self, anchor: str, pieces: Sequence[tuple[str, bool]]) -> list[tuple[int, int]]:
        """(token id, start offset in the joined text) of `pieces`, (text, is message content), standing after
        `anchor`: a control token's text, the character before, or '' at the very start."""
        text = "".join(piece for piece, _ in pieces)
        cuts: list[tuple[int, int]] = []
        position = 0
        for piece, content in pieces:
            if content:
                cuts += [(position + m.start(), position + m.end()) for m in self._hostile.finditer(piece)]
            position += len(piece)
        tokens: list[tuple[int, int]] = []
        before, position = anchor, 0
        for start, end in [*cuts, (len(text), len(text))]:
            tokens += self._shifted(before, text[position:start], position)
            before = text[start - 1] if start > position else before
            tokens += self._spelled(before, text[start:end], start)
            before = text[end - 1] if end > start else before
            position = end
        if any(token in self._control_ids for token, _ in tokens):
            return self._spelled(anchor, text, 0)
        return tokens

    def _shifted(self, anchor: str, text: str, by: int) -> list[tuple[int, int]]:
        return [(token, start + by) for token, start in self._cached(anchor, text)] if text else []

    def _spelled(self, anchor: str, text: str, by: int) -> list[tuple[int, int]]:
        """One character at a time: the same text, but not the tokens of the whole string."""
        tokens: list[tuple[int, int]] = []
        for offset, character in enumerate(text):
            tokens += self._shifted(anchor, character, by + offset)
            anchor = character
        return tokens

    def _encode_after(self, anchor: str, text: str) -> tuple[tuple[int, int], ...]:
        encoding = self._backend.encode(anchor + text, add_special_tokens=False)
        skip = len(anchor)
        kept = next((i for i, (_, end) in enumerate(encoding.offsets) if end > skip), len(encoding.ids))
        if any(start < skip < end for start, end in encoding.offsets):
            # The tokenizer would join the text with what stands before it, which generation cannot do. A line break
            # seldom joins with anything and, unlike the start of a text, adds no blank.
            return self._encode_after("" if anchor == "\n" else "\n", text)
        return tuple(
            (token, max(start - skip, 0))
            for token, (start, _) in zip(encoding.ids[kept:], encoding.offsets[kept:], strict=True)
        )


class ChunkWriter:
    """Collects pieces up to the next control token or reply, then encodes them together: a tokenizer may join
    what a template writes with what a message says, but never a prompt with a reply."""

    def __init__(self, encoder: ContextualEncoder, out: RenderedTokens) -> None:
        self._encoder = encoder
        self._out = out
        self._pieces: list[tuple[str, bool]] = []
        self._owners: list[tuple[int, bool]] = []
        self._anchor = ""

    def write(self, text: str, message: int, trained: bool, content: bool = False) -> None:
        if content:
            self._append(text, message, trained, True)
            return
        position = 0
        for match in self._encoder.control_pattern.finditer(text):
            self._append(text[position : match.start()], message, trained, False)
            self.flush()
            self._emit(self._encoder.controls[match.group()], message, trained)
            self._anchor = match.group()
            position = match.end()
        self._append(text[position:], message, trained, False)

    def begin_reply(self) -> None:
        self.flush()

    def flush(self) -> None:
        """Encode what was collected."""
        text = "".join(piece for piece, _ in self._pieces)
        if not text:
            return
        bounds: list[int] = []
        for piece, _ in self._pieces:
            bounds.append((bounds[-1] if bounds else 0) + len(piece))
        owner = 0
        for token, start in self._encoder.encode(self._anchor, self._pieces):
            while owner < len(bounds) - 1 and start >= bounds[owner]:
                owner += 1
            self._emit(token, *self._owners[owner])
        self._anchor = text[-1]
        self._pieces, self._owners = [], []

    def _append(self, text: str, message: int, trained: bool, content: bool) -> None:
        if text:
            self._pieces.append((text, content))
            self._owners.append((message, trained))

    def _emit(self, token: int, message: int, trained: bool) -> None:
        self._out.ids.append(token)
        self._out.messages.append(message)
        self._out.trained.append(trained)


def _any_of(strings: Iterable[str]) -> re.Pattern[str]:
    """Matches any of `strings`, the longest first; nothing where there is none."""
    ordered = sorted({string for string in strings if string}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, ordered)) if ordered else r"(?!)")
