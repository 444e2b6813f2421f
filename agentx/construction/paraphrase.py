"""Seeded rewording of scripted thoughts and problems, so that the offline teacher does not say the same sentence a
thousand times. The wordings are data: `paraphrases.yaml`.
"""

from __future__ import annotations

import random
import re
from functools import cache
from importlib import resources
from typing import Any

import yaml

_FIELD = re.compile(r"\{(\w+)\}")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_FIELDS = {"name": r"[A-Za-z]+ \d+", "verb": r"[a-z]+"}
_WORDS = r"[^.!?:]+(?:\.\d+[^.!?:]*)*"
_LOWERED = re.compile(r"^[a-z]+ \d+")


def phrase(key: str, rng: random.Random, **values: str) -> str:
    """One of the wordings under `problem/<kind>`, filled in."""
    kind = key.partition("/")[2]
    return str(rng.choice(_texts()["problems"][kind])).format(**values)


def reworded(thought: str, rng: random.Random) -> str:
    """The thought in other words; what it names and says stays. One without a known sentence may get a lead-in."""
    sentences = _SENTENCE_END.split(thought.strip())
    said: list[str] = []
    known = False
    position = 0
    while position < len(sentences):
        for length in (2, 1):  # some patterns span two sentences
            chunk = " ".join(sentences[position : position + length])
            way = _other_way(chunk, rng) if position + length <= len(sentences) else None
            if way is not None:
                known = True
                said.append(way)
                position += length
                break
        else:
            said.append(sentences[position])
            position += 1
    text = " ".join(part for part in said if part)
    if not known and thought.startswith("I "):
        text = f"{rng.choice(_texts()['lead_ins'])}{text}"
    return text or thought


def _other_way(sentence: str, rng: random.Random) -> str | None:
    for pattern, ways in _patterns():
        found = pattern.fullmatch(sentence)
        if found is not None:
            way = str(rng.choice(ways)).format(**found.groupdict())
            return way[:1].upper() + way[1:] if _LOWERED.match(way) else way
    return None


@cache
def _patterns() -> list[tuple[re.Pattern[str], list[str]]]:
    compiled = []
    for entry in _texts()["sentences"]:
        parts = _FIELD.split(entry["pattern"])
        expression = "".join(
            f"(?P<{part}>{_FIELDS.get(part, _WORDS)})" if number % 2 else re.escape(part)
            for number, part in enumerate(parts)
        )
        compiled.append((re.compile(expression), entry["ways"]))
    return compiled


@cache
def _texts() -> Any:
    return yaml.safe_load(resources.files(__package__).joinpath("paraphrases.yaml").read_text(encoding="utf-8"))
