"""One question with its one right answer: what every general skill generates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Exercise:
    """`question` is a user turn and `answer` the reply to it, compared character by character.

    `context`, where set, is a text the question is about; it opens the user turn and further questions of
    the same conversation may refer to it.
    """

    question: str
    answer: str
    context: str = ""

    @property
    def prompt(self) -> str:
        return f"{self.context}\n{self.question}" if self.context else self.question


Skill = Callable[[Random], list[Exercise]]
"""Draws the turns of one small conversation: one exercise, or several about the first one's context."""
