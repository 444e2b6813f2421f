"""What a verified trajectory has to be like besides being true."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from agentx.construction.agreement import agree, contradictions
from agentx.construction.record import Dialogue, Reason
from agentx.construction.settings import FilterSettings

_LEAST_LETTERS = 40
"""of thoughts, before their language is judged"""
_SURE = 0.8
"""probability from which another language is believed"""


def objection(dialogue: Dialogue, settings: FilterSettings) -> tuple[Reason, str] | None:
    """The first thing that speaks against a trajectory by itself, or None."""
    return next(_objections(dialogue, settings), None)


def _objections(dialogue: Dialogue, settings: FilterSettings) -> Iterator[tuple[Reason, str]]:
    contradicting = contradictions(dialogue.turns) if any(turn.by == "simulated" for turn in dialogue.turns) else []
    still = [number for number in contradicting if dialogue.turns[number].by == "simulated"]
    if still:
        yield Reason.CONTRADICTION, f"turn {still[0]} was answered otherwise before"
    repeats = _repeats(dialogue)
    if repeats > settings.repeats:
        yield Reason.LOOP, f"an action was repeated {repeats} times in a row"
    words = sum(len(text.split()) for turn in dialogue.turns for text in (turn.reply, turn.observation))
    words += len(dialogue.opening.split())
    if settings.max_words is not None and words > settings.max_words:
        yield Reason.LENGTH, f"{words} words"
    if len(dialogue.turns) < settings.min_turns:
        yield Reason.LENGTH, f"{len(dialogue.turns)} replies"
    if settings.language is not None:
        language = foreign_language(" ".join(turn.thought for turn in dialogue.turns), settings.language)
        if language:
            yield Reason.LANGUAGE, f"the thoughts look like {language}"


def _repeats(dialogue: Dialogue) -> int:
    """Most repetitions in a row of an action with the same reply."""
    most = run = 0
    for before, turn in zip(dialogue.turns, dialogue.turns[1:], strict=False):
        same = before.action.split() == turn.action.split() and agree(before.observation, turn.observation)
        run = run + 1 if same else 0
        most = max(most, run)
    return most


def foreign_language(text: str, wanted: str) -> str:
    """The language of a text that is surely not `wanted`, '' for all others; too short a text is never sure."""
    letters = sum(character.isalpha() for character in text)
    if letters < _LEAST_LETTERS:
        return ""
    language, score = _identifier().classify(text)
    return str(language) if language != wanted and score >= _SURE else ""


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
