"""The nouns of product titles, by which the reward compares product types."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import lru_cache
from typing import Any

NounTagger = Callable[[str], tuple[str, ...]]
"""title -> its common and proper nouns, lower-cased, in order and with repeats"""
SPACY_MODEL = "en_core_web_lg"


def has_spacy_model() -> bool:
    """Whether the benchmark's own tagger is installed."""
    return importlib.util.find_spec("spacy") is not None and importlib.util.find_spec(SPACY_MODEL) is not None


def make_tagger() -> tuple[NounTagger, bool]:
    """The benchmark's tagger where installed, otherwise an approximation; and whether it is the benchmark's.

    Loading is left to the first title: it takes seconds, and episodes that buy nothing need no tagger.
    """
    exact = has_spacy_model()
    loaded: list[Any] = []

    def nouns(title: str) -> tuple[str, ...]:
        if not loaded:
            loaded.append(_spacy() if exact else _approximate())
        found: tuple[str, ...] = loaded[0](title)
        return found

    return lru_cache(maxsize=4096)(nouns), exact


def _spacy() -> NounTagger:
    import spacy

    model = spacy.load(SPACY_MODEL, exclude=["parser", "ner", "lemmatizer"])
    return lambda title: tuple(token.text.lower() for token in model(title) if token.pos_ in ("NOUN", "PROPN"))


def _approximate() -> NounTagger:
    from textblob.en import tag

    return lambda title: tuple(word.lower() for word, kind in tag(title) if kind.startswith("NN"))
