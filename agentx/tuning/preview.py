"""What a tuning would learn from: counts, lengths, what becomes of long conversations, the mix, repetitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from agentx.conversation import Conversation
from agentx.models.rendering import Renderer
from agentx.tuning.contamination import CONTAINED, Overlap, find_overlaps
from agentx.tuning.data import TuningPlan
from agentx.tuning.duplicates import find_duplicates
from agentx.tuning.examples import ExampleSet, Fate, make_examples
from agentx.tuning.settings import DataSettings, PreviewSettings, TuningSettings

PERCENTILES = (5, 50, 95)
SIDES = ("agent", "general")


@dataclass(frozen=True)
class Preview:
    """Everything `job=data` tells, as plain values but for the sets themselves."""

    sides: dict[str, dict[str, Any]]
    """for agent and general: counts, token lengths, and the same by source"""
    mix: dict[str, float]
    """λ as given and as realised in the planned draws, in examples and in trained tokens"""
    duplicates: dict[str, Any]
    contamination: dict[str, Any] | None
    """None where it was not looked for"""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def preview(
    conversations: Mapping[str, Sequence[Conversation]],
    skipped: Mapping[str, Sequence[str]],
    renderer: Renderer,
    tuning: TuningSettings,
    data: DataSettings,
    agent_ratio: float,
    options: PreviewSettings,
    statements: Mapping[str, str] | None,
) -> Preview:
    """`conversations` and `skipped` by side; `statements` by evaluation sample, None to leave contamination out.

    Raises UserError for a conversation that cannot be rendered, unless data.on_error=skip.
    """
    made = {
        side: make_examples(conversations[side], renderer, tuning.max_length, tuning.overlong, data.on_error)
        for side in SIDES
    }
    everything = [conversation for side in SIDES for conversation in conversations[side]]
    overlaps = None
    if statements is not None:
        overlaps = _contamination(statements, find_overlaps(statements, everything, options.ngram), options.ngram)
    return Preview(
        {side: _side(made[side], len(skipped[side])) for side in SIDES},
        _mix(made, agent_ratio, tuning, data.seed),
        _duplicates(everything, len(conversations["agent"]), options.near_duplicate),
        overlaps,
    )


def _side(made: ExampleSet, skipped: int) -> dict[str, Any]:
    by_source: dict[str, list[Fate]] = {}
    for fate in made.fates:
        by_source.setdefault(fate.source, []).append(fate)
    return {
        **made.counts(),
        "skipped": skipped,
        "all": _source(made.fates),
        "sources": {source: _source(fates) for source, fates in by_source.items()},
    }


def _source(fates: Sequence[Fate]) -> dict[str, Any]:
    became = [fate.became for fate in fates]
    return {
        "conversations": len(fates),
        "tokens": sum(fate.tokens for fate in fates),
        "trained_tokens": sum(fate.trained for fate in fates),
        "split": became.count("split"),
        "dropped": became.count("dropped"),
        "refused": became.count("refused"),
        "lengths": _lengths(fates),
    }


def _lengths(fates: Sequence[Fate]) -> dict[str, int]:
    """Of whole conversations, in tokens."""
    lengths = [fate.tokens for fate in fates if fate.tokens]
    if not lengths:
        return {}
    shares = {f"p{share}": int(np.percentile(lengths, share)) for share in PERCENTILES}
    return {**shares, "max": max(lengths)}


def _mix(made: Mapping[str, ExampleSet], agent_ratio: float, tuning: TuningSettings, seed: int) -> dict[str, float]:
    """Empty where a side that λ draws from holds nothing."""
    needed = [side for side, share in (("agent", agent_ratio), ("general", 1 - agent_ratio)) if share > 0]
    if not all(len(made[side]) for side in needed):
        return {}
    plan = TuningPlan(made["agent"], made["general"], agent_ratio, tuning, seed)
    realised = plan.realised()
    return {
        "lambda": agent_ratio,
        "lambda_examples": realised.ratio_examples,
        "lambda_tokens": realised.ratio_tokens,
        "steps": plan.steps,
        "examples": realised.agent_examples + realised.general_examples,
        "trained_tokens": realised.agent_tokens + realised.general_tokens,
        "epochs_agent": realised.agent_examples / max(1, len(made["agent"])),
        "epochs_general": realised.general_examples / max(1, len(made["general"])),
    }


def _duplicates(everything: Sequence[Conversation], agent: int, threshold: float | None) -> dict[str, Any]:
    """How many conversations repeat an earlier one, by side; `across`: a general one that repeats an agent one."""
    found = find_duplicates(everything, threshold)
    told: dict[str, Any] = {"threshold": threshold}
    for kind, pairs in (("exact", found.exact), ("near", found.near)):
        if pairs is None:
            told[kind] = None
            continue
        told[kind] = {
            "agent": sum(index < agent for index, _ in pairs),
            "general": sum(earlier >= agent for _, earlier in pairs),
            "across": sum(index >= agent > earlier for index, earlier in pairs),
            "first": [[_name(everything[index]), _name(everything[earlier])] for index, earlier in pairs[:10]],
        }
    return told


def _name(conversation: Conversation) -> str:
    return f"{conversation.source}:{conversation.id}"


def _contamination(statements: Mapping[str, str], overlaps: Sequence[Overlap], ngram: int) -> dict[str, Any]:
    return {
        "samples": len(statements),
        "ngram": ngram,
        "same_id": sum(overlap.same_id for overlap in overlaps),
        "exact": sum(overlap.exact for overlap in overlaps),
        "known": sum(overlap.share >= CONTAINED for overlap in overlaps),
        "any_overlap": sum(overlap.share > 0 for overlap in overlaps),
        "overlaps": [asdict(overlap) for overlap in overlaps],
    }
