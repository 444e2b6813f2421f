"""The tuning loss: Eq. 1 over the agent's tokens, with logits made for the trained positions only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from agentx.errors import ConfigError
from agentx.tuning.packing import Pass


def trained_nll(model: nn.Module, batch: Pass, head: Callable[[Tensor], Tensor] | None, chunk: int = 0) -> Tensor:
    """Negative log-likelihood of each trained token of a pass, shape [trained tokens], 32 bits, in row order.

    `model` gives logits, or, where `head` is given, hidden states that `head` turns into logits; then logits exist
    for the trained positions only, and for at most `chunk` of them at a time (0: no limit; the backward pass makes
    them again).
    """
    ids, positions = batch.ids, batch.positions
    if positions is not None and str(_attention(model)).startswith("flash"):
        # FlashAttention reads the borders of packed examples from a single row only.
        ids, positions = ids.reshape(1, -1), positions.reshape(1, -1)
    output = model(input_ids=ids, position_ids=positions, use_cache=False)
    states = (output.logits if head is None else output.last_hidden_state).view(*batch.ids.shape, -1)
    wanted = batch.weights[:, 1:] > 0
    states, targets = states[:, :-1][wanted], batch.ids[:, 1:][wanted]
    if head is None or not chunk or len(targets) <= chunk:
        return _nll(states, targets, head)
    parts = [
        checkpoint(_nll, states[start : start + chunk], targets[start : start + chunk], head, use_reentrant=False)
        for start in range(0, len(targets), chunk)
    ]
    return torch.cat(parts)


def _nll(states: Tensor, targets: Tensor, head: Callable[[Tensor], Tensor] | None) -> Tensor:
    logits = states if head is None else head(states)
    return F.cross_entropy(logits.float(), targets, reduction="none")


def step_loss(nll: Tensor, batch: Pass) -> Tensor:
    """This pass's part of the optimiser step's loss; the parts of all passes and devices add up to it."""
    weights = batch.weights[:, 1:]
    return (nll * weights[weights > 0]).sum()


def split_head(model: Any) -> tuple[nn.Module, Callable[[Tensor], Tensor] | None]:
    """The decoder and the vocabulary projection of a causal language model, if calling one after the other gives
    the model's own logits; else the model itself and None (some models scale or cap their logits)."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    decoder = base.get_decoder() if hasattr(base, "get_decoder") else None
    head = base.get_output_embeddings()
    if decoder is None or decoder is base or head is None:
        return model, None
    probe = torch.arange(4, device=next(base.parameters()).device).view(1, -1)
    training = base.training
    base.eval()
    try:
        with torch.no_grad():
            whole = base(input_ids=probe, use_cache=False).logits
            parts = head(decoder(input_ids=probe, use_cache=False).last_hidden_state)
    finally:
        base.train(training)
    return (decoder, head) if torch.allclose(whole, parts, rtol=1e-4, atol=1e-5) else (model, None)


def check_packing(model: Any) -> None:
    """Raises ConfigError when this model lets packed conversations see each other (some ignore where positions
    restart). FlashAttention is not tried: it runs in half precision on a GPU only."""
    if str(_attention(model)).startswith("flash"):
        return
    device = next(model.parameters()).device
    pair = torch.arange(16, device=device).view(2, 8)
    positions = torch.arange(8, device=device).repeat(2).view(1, 16)
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            apart = model(input_ids=pair, use_cache=False).logits.view(16, -1)
            packed = model(input_ids=pair.view(1, 16), position_ids=positions, use_cache=False).logits.view(16, -1)
    finally:
        model.train(training)
    if not torch.allclose(apart, packed, rtol=1e-2, atol=1e-2 * float(apart.abs().max())):
        raise ConfigError("tuning.packing=true: this model lets packed conversations see each other; set it to false")


def _attention(model: nn.Module) -> str | None:
    config = getattr(model, "config", None)
    return getattr(config, "_attn_implementation", None)
