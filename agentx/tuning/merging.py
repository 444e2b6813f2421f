"""An adapter merged into its base: a plain model that any library loads, checked against what was tuned.

An adapter tuned on 4-bit weights is merged into those weights dequantised, not into the originals: that is the model
it was tuned on, and merging into 4 bits again would change replies (peft issues 1043 and 2321).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from agentx.errors import UserError
from agentx.models.loading import ADAPTER_CARD, load_renderer, load_tokenizer
from agentx.models.settings import ModelSettings
from agentx.tuning import base
from agentx.tuning.adapters import AdapterCard, whole_directory
from agentx.tuning.settings import TuningSettings
from agentx.tuning.trainer import quiet

REPLY_TOKENS = 32
"""of each greedy reply that is compared"""


@dataclass(frozen=True)
class Agreement:
    """How far the merged model, read back from disk, is from adapter and base apart."""

    prompts: int
    same_replies: int
    """greedy replies that are equal token for token"""
    largest_difference: float
    """of any logit after any prompt token"""
    relative_difference: float
    """root mean square of the differences over that of the logits"""
    dtype: str
    """of the merged weights on disk"""


def merge(
    model: ModelSettings, adapter: Path, output: Path, prompts: Sequence[list[int]], dtype: str = "auto"
) -> Agreement:
    """Write the merged model with tokenizer, chat template and card to `output`, whole or not at all.

    `prompts` are token ids on which both are compared; `dtype` of the weights, auto: as they were tuned. Raises
    UserError when the adapter was tuned on other weights or is a whole model already.
    """
    with quiet():
        return _merge(model, adapter, output, prompts, dtype)


def _merge(model: ModelSettings, adapter: Path, output: Path, prompts: Sequence[list[int]], dtype: str) -> Agreement:
    card = AdapterCard.read(adapter)
    if card.kind == "model":
        raise UserError(f"{adapter}: is a whole model already (tuning=full); there is nothing to merge")
    if card.weights != base.weights_digest(model):
        raise UserError(f"{adapter}: was tuned on other weights than model={model.name} has; set model as it was then")
    renderer = load_renderer(model, adapter)
    settings = _settings(card)
    from peft import PeftModel

    weights = base.load_weights(model, settings, accelerated=torch.cuda.is_available())
    tuned = PeftModel.from_pretrained(weights, str(adapter)).eval()
    before = _answers(tuned, prompts)
    if settings.name == "qlora":
        del tuned, weights
        plain = base.load_weights(model, settings, accelerated=torch.cuda.is_available()).dequantize()
        tuned = PeftModel.from_pretrained(plain, str(adapter))
    merged = tuned.merge_and_unload(safe_merge=True)
    if dtype != "auto":
        merged = merged.to(getattr(torch, dtype))
    tokenizer = load_tokenizer(model)
    tokenizer.chat_template = renderer.jinja
    if renderer.end_token_ids:
        merged.generation_config.eos_token_id = sorted(renderer.end_token_ids)
    with whole_directory(output) as partial:
        merged.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        agreement = _compare(before, _answers(_read_back(partial), prompts), str(merged.dtype).removeprefix("torch."))
        record = {**asdict(card), "kind": "model", "merged": {"adapter": str(adapter), **asdict(agreement)}}
        (partial / ADAPTER_CARD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return agreement


def _settings(card: AdapterCard) -> TuningSettings:
    known = TuningSettings.__dataclass_fields__
    return TuningSettings(**{name: value for name, value in card.settings.items() if name in known})


def _read_back(directory: Path) -> Any:
    from transformers import AutoModelForCausalLM

    read = AutoModelForCausalLM.from_pretrained(directory, dtype="auto").eval()
    return read.to("cuda") if torch.cuda.is_available() else read


@torch.no_grad()
def _answers(model: Any, prompts: Sequence[list[int]]) -> list[tuple[torch.Tensor, list[int]]]:
    """Logits after each prompt token, [tokens, vocabulary] in 32 bits on the CPU, and the greedy reply."""
    device = next(model.parameters()).device
    answers = []
    for prompt in prompts:
        ids = torch.tensor([prompt], device=device)
        logits = model(input_ids=ids, use_cache=False).logits[0].float().cpu()
        reply = ids
        for _ in range(REPLY_TOKENS):
            following = model(input_ids=reply, use_cache=False).logits[0, -1].argmax().view(1, 1)
            reply = torch.cat([reply, following.to(reply.device)], dim=1)
        answers.append((logits, reply[0, len(prompt) :].tolist()))
    return answers


def _compare(
    before: Sequence[tuple[torch.Tensor, list[int]]], after: Sequence[tuple[torch.Tensor, list[int]]], dtype: str
) -> Agreement:
    pairs = list(zip(before, after, strict=True))
    differences = torch.cat([(a[0] - b[0]).flatten() for a, b in pairs])
    logits = torch.cat([a[0].flatten() for a, _ in pairs])
    return Agreement(
        prompts=len(pairs),
        same_replies=sum(a[1] == b[1] for a, b in pairs),
        largest_difference=float(differences.abs().max()),
        relative_difference=float(differences.square().mean().sqrt() / logits.square().mean().sqrt()),
        dtype=dtype,
    )
