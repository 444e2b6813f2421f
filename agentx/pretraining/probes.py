"""What a checkpoint can do, measured without generating: loss, and how many whole turns come out exactly right.

A span of the text (an answer, or the expert's turn) counts as right when every one of its tokens is the most
likely one after what precedes it; that is the case exactly when greedy decoding would write the span.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from random import Random

import torch
from torch.nn import functional
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from agentx.pretraining.corpus import IGNORED, collate
from agentx.pretraining.narration import narrate
from agentx.pretraining.skills import general_conversations
from agentx.pretraining.tokenizer import BOS, END, ROLE_TOKENS


@dataclass(frozen=True)
class Probe:
    """`spans` are (name, start, end) over `ids`; the tokens in them are also the ones whose loss is measured."""

    ids: list[int]
    spans: list[tuple[str, int, int]]


def narration_probes(tokenizer: PreTrainedTokenizerFast, count: int, seed: int = 0) -> list[Probe]:
    """Fresh plays on training floor plans (test floor plans are kept for evaluation); spans are the expert's turns."""
    probes = []
    for index in range(count):
        narration = narrate(Random(f"probe:{seed}:{index}"), "train")
        pieces = [(BOS, "")]
        for position, (text, trained) in enumerate(narration.pieces):
            pieces.append((text, "play" if position % 2 and trained else ""))
        probes.append(_probe(pieces, tokenizer))
    return probes


def general_probes(tokenizer: PreTrainedTokenizerFast, count: int, seed: int = 0) -> list[Probe]:
    """Conversations of the test split; spans are the answers, named by skill."""
    probes = []
    for conversation in general_conversations(count, seed, "test"):
        skills = iter(conversation.metadata["skills"])
        pieces = [(BOS, "")]
        for message in conversation.messages:
            if message.role == "assistant":
                pieces += [(ROLE_TOKENS["assistant"], ""), (message.content + END, f"general/{next(skills)}")]
            else:
                pieces.append((ROLE_TOKENS[message.role] + message.content + END, ""))
        probes.append(_probe(pieces, tokenizer))
    return probes


def _probe(pieces: list[tuple[str, str]], tokenizer: PreTrainedTokenizerFast) -> Probe:
    ids: list[int] = []
    spans = []
    for (_, name), part in zip(
        pieces, tokenizer([text for text, _ in pieces], add_special_tokens=False)["input_ids"], strict=True
    ):
        if name:
            spans.append((name, len(ids), len(ids) + len(part)))
        ids += part
    return Probe(ids, spans)


@torch.no_grad()
def evaluate(model: LlamaForCausalLM, probes: list[Probe], pad: int, batch_tokens: int = 4096) -> dict[str, float]:
    """`loss` (nats a token of the spans), `exact/<kind>` for each kind of span, and `exact/<kind>/<skill>`."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    total, tokens = 0.0, 0
    right: dict[str, list[bool]] = defaultdict(list)
    for group in _groups(probes, batch_tokens):
        labels = [[IGNORED] * len(probe.ids) for probe in group]
        for row, probe in zip(labels, group, strict=True):
            for _, start, end in probe.spans:
                row[start:end] = probe.ids[start:end]
        batch = collate([(probe.ids, row) for probe, row in zip(group, labels, strict=True)], pad)
        logits = model(input_ids=batch.ids.to(device)).logits[:, :-1].float()
        targets = batch.labels[:, 1:].to(device)
        kept = targets != IGNORED
        total += functional.cross_entropy(logits[kept], targets[kept], reduction="sum").item()
        tokens += int(kept.sum())
        hits = (logits.argmax(-1) == targets).cpu()
        for probe, row_hits in zip(group, hits, strict=True):
            for name, start, end in probe.spans:
                right[name].append(bool(row_hits[start - 1 : end - 1].all()))
    model.train(was_training)
    results = {"loss": total / max(tokens, 1)}
    for kind in dict.fromkeys(name.partition("/")[0] for name in right):
        pooled = [hit for name, found in right.items() if name.partition("/")[0] == kind for hit in found]
        results[f"exact/{kind}"] = sum(pooled) / len(pooled)
    results.update({f"exact/{name}": sum(found) / len(found) for name, found in sorted(right.items()) if "/" in name})
    return results


def _groups(probes: list[Probe], batch_tokens: int) -> list[list[Probe]]:
    groups: list[list[Probe]] = [[]]
    for probe in sorted(probes, key=lambda probe: len(probe.ids)):
        if groups[-1] and len(probe.ids) * (len(groups[-1]) + 1) > batch_tokens:
            groups.append([])
        groups[-1].append(probe)
    return groups
