"""Whether the training text holds what the embedded model is later evaluated on."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from agentx.config import PathSettings
from agentx.conversation import Conversation, Message
from agentx.pretraining.corpus import document, plain_text
from agentx.pretraining.plays import Play
from agentx.pretraining.settings import PretrainSettings
from agentx.tuning.contamination import CONTAINED, find_overlaps

EVALUATED = ("household", "database", "operating_system", "webshop", "mind2web", "general")
SAMPLES = 200
NGRAM = 13
"""words in a row that must not be shared, as for other models' training data (Brown et al. 2020)"""


def contamination(
    settings: PretrainSettings, plays: Sequence[Play], documents: int, samples: int = SAMPLES
) -> dict[str, dict[str, Any]]:
    """By task, of `samples` held-out samples: how many the first `documents` of the training text hold whole, in how
    many `CONTAINED` of the n-grams occur there (a statement shorter than one is looked for whole), and the largest such
    share. A household's first words list its furniture in a fixed order, so that rooms with the same furniture
    share most n-grams while their contents differ; its floor plans are kept apart by name."""
    texts = [plain_text(document(settings, index, plays)) for index in range(documents)]
    read = [Conversation((Message("user", text),), "pretraining", str(index)) for index, text in enumerate(texts)]
    found = {}
    for name in EVALUATED:
        options = importlib.import_module(f"agentx.tasks.{name}.settings").Settings(samples=samples)
        task = importlib.import_module(f"agentx.tasks.{name}.task").make_task(options, PathSettings())
        statements = task.statements()
        overlaps = find_overlaps(statements, read, NGRAM)
        found[name] = {
            "samples": len(statements),
            "whole": sum(overlap.share == 1 for overlap in overlaps),
            "mostly": sum(overlap.share >= CONTAINED for overlap in overlaps),
            "largest_share": round(max((overlap.share for overlap in overlaps), default=0.0), 3),
        }
    return found
