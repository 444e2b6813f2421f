"""How much memory a tuning will take, estimated before anything is loaded."""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields
from typing import Any

from agentx.errors import ConfigError
from agentx.tuning.settings import TuningSettings

log = logging.getLogger(__name__)

GIGABYTE = 1e9
NF4_BYTES = 0.53
"""of one weight with its share of the doubly quantised scales"""
STATES = 2
"""numbers AdamW keeps of each trained weight"""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes on one device, at the peak of a step."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    """of the largest forward pass, as kept for the backward pass"""
    logits: float

    @property
    def total(self) -> float:
        return sum(getattr(self, part.name) for part in fields(self))

    @property
    def certain(self) -> float:
        """What is needed whatever the passes' size."""
        return self.weights + self.gradients + self.optimizer

    def __str__(self) -> str:
        parts = ", ".join(f"{part.name} {getattr(self, part.name) / GIGABYTE:.1f}" for part in fields(self))
        return f"about {self.total / GIGABYTE:.1f} GB ({parts})"


def estimate(
    config: Any, settings: TuningSettings, targets: list[str] | None, weight_bytes: int, shards: int = 1
) -> MemoryEstimate:
    """Of a model with the library's `config`, whose weights take `weight_bytes` a number (tuning=qlora: of those that
    are not quantised) and are spread over `shards` devices. `targets` get an adapter; None: all linear modules do.

    Counts what a Llama keeps of each token for the backward pass; other decoders are close to it.
    """
    import torch
    from torch import nn
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    head = model.get_output_embeddings()
    linear = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    inner = {name: module for name, module in linear.items() if module is not head}
    numbers = sum(parameter.numel() for parameter in model.parameters())
    quantised = sum(module.weight.numel() for module in inner.values()) if settings.name == "qlora" else 0
    chosen = inner if targets is None else {n: m for n, m in inner.items() if {n, n.rpartition(".")[2]} & {*targets}}
    trained = numbers
    if settings.name != "full":
        trained = sum(settings.rank * (module.in_features + module.out_features) for module in chosen.values())
    text = config.get_text_config()
    tokens = _tokens_per_pass(settings)
    return MemoryEstimate(
        weights=((numbers - quantised) * weight_bytes + quantised * NF4_BYTES) / shards
        + (0 if settings.name == "full" else 4 * trained / shards),
        gradients=4 * trained / shards,
        optimizer=4 * STATES * trained / shards,
        activations=_activations(text, settings, tokens),
        logits=_logits(text, settings, tokens),
    )


def _tokens_per_pass(settings: TuningSettings) -> int:
    if settings.accumulate is not None:
        return settings.max_length * -(-settings.batch_size // settings.accumulate)
    return max(settings.tokens_per_pass, settings.max_length)


def _activations(text: Any, settings: TuningSettings, tokens: int) -> float:
    hidden, layers = text.hidden_size, text.num_hidden_layers
    heads = text.num_attention_heads
    width = getattr(text, "head_dim", None) or hidden // heads
    key_value = (getattr(text, "num_key_value_heads", None) or heads) * width
    inner = getattr(text, "intermediate_size", None) or 4 * hidden
    number = 4 if settings.precision == "fp32" else 2
    # Norms keep 32 bits whatever the precision: two of them, in and out; the rest is what matrix products read.
    layer = number * (6 * hidden + 3 * heads * width + 4 * key_value + 4 * inner) + 4 * 4 * hidden
    if settings.name != "full":
        layer += number * 7 * settings.rank
    if settings.attention == "eager":
        layer += 2 * number * heads * min(tokens, settings.max_length)
    if settings.gradient_checkpointing:
        return float(tokens * (layers * number * hidden + layer))
    return float(tokens * layers * layer)


def _logits(text: Any, settings: TuningSettings, tokens: int) -> float:
    """In 32 bits, with their gradient and the probabilities."""
    held = min(tokens, settings.loss_chunk or tokens)
    return 3.0 * 4 * held * text.vocab_size


def check(needed: MemoryEstimate, free: float, device: str) -> None:
    """Say in one line what is needed and what there is. Raises ConfigError when not even the weights with what their
    tuning keeps will fit; a pass that may be too large is warned of."""
    if needed.certain > free:
        raise ConfigError(
            f"not enough memory on this {device}: tuning needs {needed} and {free / GIGABYTE:.1f} GB are free; take "
            "tuning=qlora, a smaller tuning.rank or model, or trainer=fsdp on several devices"
        )
    if needed.total > free:
        log.warning(
            "warning: tuning may need %s and %.1f GB are free on this %s; tuning.gradient_checkpointing=true or a "
            "lower tuning.tokens_per_pass or max_length takes less",
            needed,
            free / GIGABYTE,
            device,
        )
    else:
        log.info("tuning will need %s of %.1f GB free", needed, free / GIGABYTE)


def free_memory(device: Any) -> float:
    """Bytes that can still be had on a torch device."""
    import torch

    if device.type == "cuda":
        # What torch holds of an earlier cell's model and no longer uses is free to this process.
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return float(torch.cuda.mem_get_info(device)[0] + held)
    import psutil

    return float(psutil.virtual_memory().available)
