"""Plays told with other names: what can only be copied is learnt by copying, not by heart.

The tool tasks' training splits have few names (tables, files, goods), so a model that reads their plays learns those
instead of where a name comes from. Here the words that an action takes over from what was observed are exchanged for
drawn ones, the same everywhere in the play; the words of the tools themselves stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from random import Random

import yaml

from agentx.pretraining.plays import Play
from agentx.pretraining.words import ADJECTIVES, CITIES, EVERYDAY, FIRST_NAMES, HOUSEHOLD, PLACES, made_up_word

_NAME = re.compile(r"\bB[A-Z0-9]{9}\b|[A-Za-z]{3,}")
"""a product number, which stays, or a word"""
_KNOWN = (*EVERYDAY, *HOUSEHOLD, *FIRST_NAMES, *PLACES, *ADJECTIVES, *CITIES)
SHARES = (0.3, 0.6, 0.9)
"""how many of a play's names are exchanged"""


@cache
def tool_words(task: str) -> frozenset[str]:
    """Words in lower case that belong to the task's tools and the wording of its questions."""
    text = resources.files(__package__).joinpath("tool_words.yaml").read_text(encoding="utf-8")
    return frozenset(yaml.safe_load(text)[task])


def rename(play: Play, rng: Random) -> Play:
    """The play with some of its names exchanged. Names that no action needs are exchanged just as often, so that
    being a stranger does not tell which one to take."""
    texts = [text for turn in play.turns for text in turn] + [play.ending]
    words = (found.lower() for text in texts for found in _NAME.findall(text) if not _is_number(found))
    names = [word for word in dict.fromkeys(words) if word not in tool_words(play.task)]
    share = rng.choice(SHARES)
    new = {name: _replacement(rng) for name in names if rng.random() < share}

    def told(text: str) -> str:
        return _NAME.sub(lambda found: _in_case(found.group(), new), text)

    return Play(play.task, tuple((told(a), told(b), told(c)) for a, b, c in play.turns), told(play.ending))


def _is_number(name: str) -> bool:
    """A product's, such as B07XJ8C8F5."""
    return len(name) == 10 and name.isupper() and name[0] == "B"


def _replacement(rng: Random) -> str:
    return rng.choice(_KNOWN).lower() if rng.random() < 0.35 else made_up_word(rng)


def _in_case(word: str, new: Mapping[str, str]) -> str:
    """The replacement written like `word`: small, with a capital or in capitals."""
    name = None if _is_number(word) else new.get(word.lower())
    if name is None:
        return word
    if word.isupper():
        return name.upper()
    return name.capitalize() if word[0].isupper() else name
