"""The vocabulary generated text is made of, and random draws from it.

The household names are the classes of ALFWorld's simulator (they have to be copied exactly by an agent, so
they appear in every skill); the rest is everyday English.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import yaml

WORDS: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name("words.yaml").read_text())

OBJECTS, RECEPTACLES = WORDS["objects"], WORDS["receptacles"]
HOUSEHOLD = tuple(OBJECTS + RECEPTACLES)
FRUITS, ANIMALS, COLOURS, CITIES, TOOLS = (WORDS[name] for name in ("fruits", "animals", "colours", "cities", "tools"))
EVERYDAY = tuple(FRUITS + ANIMALS + TOOLS)
FIRST_NAMES, PLACES, ADJECTIVES, JOBS = (WORDS[name] for name in ("first_names", "places", "adjectives", "jobs"))
FIELDS, LABELS, PROMPT_WORDS, NUMBER_WORDS = (
    WORDS[name] for name in ("fields", "labels", "prompt_words", "number_words")
)
CATEGORIES: dict[str, tuple[str, ...]] = {
    "fruit": tuple(FRUITS),
    "animal": tuple(ANIMALS),
    "colour": tuple(COLOURS),
    "city": tuple(CITIES),
    "tool": tuple(TOOLS),
}
PLURALS = {"fruit": "fruits", "animal": "animals", "colour": "colours", "city": "cities", "tool": "tools"}

_ONSETS = ("b", "br", "c", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "pl", "qu", "r",
           "s", "sh", "st", "t", "tr", "v", "w", "z")  # fmt: skip
_RHYMES = ("a", "ad", "al", "an", "ar", "e", "el", "en", "er", "est", "i", "il", "in", "ir", "ist", "o", "ol", "on",
           "ook", "or", "u", "ul", "um", "un", "ur", "y")  # fmt: skip
"""of made-up words"""


def code(rng: Random, length: int = 4) -> str:
    """A random code such as `K7Q2`, for copying that no memory of words can help."""
    return "".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(length))


def made_up_word(rng: Random) -> str:
    """A word nobody knows, of two or three syllables, in lower case."""
    return "".join(rng.choice(_ONSETS) + rng.choice(_RHYMES) for _ in range(rng.choice((2, 2, 3))))


def numbered(rng: Random, name: str, highest: int = 9) -> str:
    """`mug` becomes `mug 3`; one in ten numbers has two digits."""
    return f"{name} {rng.randint(10, 29) if rng.random() < 0.1 else rng.randint(1, highest)}"


def things(rng: Random, count: int) -> list[str]:
    """`count` different things of one kind: numbered household things (most often), names, words or codes."""
    kind = rng.choices(("household", "close", "everyday", "names", "codes"), (4, 2, 2, 1, 1))[0]
    chosen: dict[str, None] = {}
    classes = rng.sample(HOUSEHOLD, 3)
    while len(chosen) < count:
        if kind == "household":
            chosen[numbered(rng, rng.choice(HOUSEHOLD))] = None
        elif kind == "close":
            chosen[numbered(rng, rng.choice(classes))] = None
        elif kind == "everyday":
            chosen[rng.choice(EVERYDAY + HOUSEHOLD)] = None
        elif kind == "names" and count <= len(FIRST_NAMES) // 2:
            chosen[rng.choice(FIRST_NAMES)] = None
        else:
            chosen[code(rng)] = None
    return list(chosen)


def another(rng: Random, present: list[str]) -> str:
    """A thing of the same kind as those `present` that is not among them: same class and another number
    where possible, so that telling them apart needs the whole name."""
    for _ in range(50):
        model = rng.choice(present)
        name, _, number = model.rpartition(" ")
        if name and number.isdigit():
            candidate = numbered(rng, name if rng.random() < 0.6 else rng.choice(HOUSEHOLD))
        elif model in FIRST_NAMES:
            candidate = rng.choice(FIRST_NAMES)
        elif model.isupper():
            candidate = code(rng)
        else:
            candidate = rng.choice(EVERYDAY + HOUSEHOLD)
        if candidate not in present:
            return candidate
    return code(rng, 5)
