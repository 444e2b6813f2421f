"""Whether the training text holds what the embedded model is later evaluated on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentx.conversation import Conversation, Message
from agentx.pretraining.corpus import Document, document, plain_text
from agentx.pretraining.held_out import NGRAM, SAMPLES, statements
from agentx.pretraining.plays import Play
from agentx.pretraining.settings import PretrainSettings
from agentx.tuning.contamination import CONTAINED, find_overlaps

EVALUATED = ("household", "database", "operating_system", "webshop", "mind2web", "general")


def contamination(
    settings: PretrainSettings, plays: Sequence[Play], documents: int, samples: int = SAMPLES
) -> dict[str, dict[str, Any]]:
    """By task, of `samples` held-out samples: how many of them a message of the first `documents` of the training text
    says word for word, how many occur there whole (within a longer text, or n-gram by n-gram in several), in how many
    `CONTAINED` of the n-grams occur (a statement shorter than one is looked for whole), and the largest such share.
    A household's first words list its furniture in a fixed order, so that rooms with the same furniture
    share most n-grams while their contents differ; its floor plans are kept apart by name."""
    read = [_as_conversation(document(settings, index, plays), str(index)) for index in range(documents)]
    found = {}
    for name in EVALUATED:
        asked = statements(name, samples)
        overlaps = find_overlaps(asked, read, NGRAM)
        found[name] = {
            "samples": len(asked),
            "exact": sum(overlap.exact for overlap in overlaps),
            "whole": sum(overlap.share == 1 for overlap in overlaps),
            "mostly": sum(overlap.share >= CONTAINED for overlap in overlaps),
            "largest_share": round(max((overlap.share for overlap in overlaps), default=0.0), 3),
        }
    return found


def _as_conversation(text: Document, name: str) -> Conversation:
    if isinstance(text, Conversation):
        return text
    return Conversation((Message("user", plain_text(text)),), "pretraining", name)
