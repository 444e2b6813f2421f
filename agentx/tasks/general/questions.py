"""Questions with their right answers, and when a reply is right.

How replies are compared, by `scoring`:

- exact: reply and answer are the same text. White space at the ends does not count, a run of spaces is one space;
  line breaks and case count (`ignore_case`, `ignore_punctuation` change that).
- contains: the answer occurs in the reply as whole words; otherwise as exact.
- number: the last number in the reply equals the answer: "7", "7.0", "1,000" and "$7." are read as numbers.
- choice: the reply names the right option: by its letter ("B", "(b)", "B. blue", "Answer: B") or its text.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal

from agentx.conversation import Message

Scoring = Literal["exact", "contains", "number", "choice"]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LONGEST = 20_000
"""characters of a reply that are looked at"""
_NUMBER = re.compile(r"(?<![\d.])-?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,40})(?:\.\d{1,40})?")
_SPACES = re.compile(r"[^\S\n]+")
_LETTER = re.compile(r"\s*[(\[*\"'`]*([A-Za-z])(?![A-Za-z'’])[)\].:*\"'`,;]*(?:\s|\Z)")
_SAID = re.compile(r"(?i:\banswer(?:\s+is)?)\s*:?\s*[(\[*\"'`]*([A-Z])(?![A-Za-z'’])")


@dataclass(frozen=True)
class Question:
    """`answers` are the texts accepted; for choice, the right option's text. `before` are earlier turns."""

    id: str
    skill: str
    text: str
    answers: tuple[str, ...]
    choices: tuple[str, ...] = ()
    scoring: Scoring = "exact"
    before: tuple[Message, ...] = ()

    @property
    def asked(self) -> str:
        """The question with its options, lettered from A on."""
        options = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, self.choices, strict=False)]
        return "\n".join([self.text, *options])

    @property
    def expected(self) -> str:
        """A reply that is right."""
        if self.scoring == "choice":
            return LETTERS[self.choices.index(self.answers[0])]
        return self.answers[0]


def is_right(question: Question, reply: str, *, ignore_case: bool = False, ignore_punctuation: bool = False) -> bool:
    """Whether the reply answers the question, by the rules above. Never raises."""
    reply = reply[:_LONGEST]
    if question.scoring == "number":
        said = last_number(reply)
        return said is not None and any(said == last_number(answer) for answer in question.answers)
    if question.scoring == "choice":
        chosen = chosen_option(question.choices, reply)
        return chosen is not None and question.choices[chosen] in question.answers

    def plain(text: str) -> str:
        return normalise(text, ignore_case=ignore_case, ignore_punctuation=ignore_punctuation)

    said_text = plain(reply)
    if question.scoring == "contains":
        return any(_within(plain(answer), said_text) for answer in question.answers)
    return any(said_text == plain(answer) for answer in question.answers)


def normalise(text: str, *, ignore_case: bool, ignore_punctuation: bool) -> str:
    """The form in which texts are compared."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n")
    if ignore_case:
        text = text.casefold()
    if ignore_punctuation:
        text = "".join(character for character in text if not unicodedata.category(character).startswith("P"))
    lines = [_SPACES.sub(" ", line).strip() for line in text.split("\n")]
    return "\n".join(lines).strip()


def last_number(text: str) -> Decimal | None:
    found = _NUMBER.findall(text)
    if not found:
        return None
    try:
        return Decimal(found[-1].replace(",", ""))
    except InvalidOperation:
        return None


def chosen_option(choices: tuple[str, ...], reply: str) -> int | None:
    """The option a reply names, None where it names none."""

    def plain(text: str) -> str:
        return normalise(text, ignore_case=True, ignore_punctuation=True)

    texts = [plain(choice) for choice in choices]
    if plain(reply) in texts:
        return texts.index(plain(reply))
    found = _LETTER.match(reply) or _SAID.search(reply)
    index = LETTERS.find(found[1].upper()) if found else -1
    return index if 0 <= index < len(choices) else None


def _within(answer: str, reply: str) -> bool:
    if not answer:
        return not reply
    start = reply.find(answer)
    while start >= 0:
        end = start + len(answer)
        cut_before = start > 0 and reply[start - 1].isalnum() and answer[0].isalnum()
        cut_after = end < len(reply) and reply[end].isalnum() and answer[-1].isalnum()
        if not (cut_before or cut_after):
            return True
        start = reply.find(answer, start + 1)
    return False
