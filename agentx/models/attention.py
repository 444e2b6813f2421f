"""Attention of several sequences of different lengths in one forward pass, without padding.

The engine lays the new tokens of all sequences end to end, as one row. Linear layers see that row; attention,
registered with transformers under `RAGGED`, takes it apart and attends within each sequence. So no sequence
pays for another's length, and a sequence's keys and values never move while it grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from agentx.models.keyvalues import KeyValues

RAGGED = "agentx_ragged"


class Segment:
    """The part of the row that belongs to one sequence: `count` new tokens from position `start` of the row.

    Creating it fixes the views into the sequence's buffer that every layer writes to and reads from.
    """

    def __init__(self, cache: KeyValues, start: int, count: int) -> None:
        self.start, self.count, self.past = start, count, cache.length
        total = cache.length + count
        self.total = total
        self.new = cache.tensor[:, :, :, cache.length : total].unbind(0)
        self.all = cache.tensor[:, :, :, :total].unbind(0)
        self._masks: dict[int | None, torch.Tensor | None] = {}

    def mask(self, window: int | None, device: torch.device) -> torch.Tensor | None:
        """[count, total] booleans, or None where every new token may see everything; made once for all layers."""
        if window is not None and window >= self.total:
            window = None
        if window not in self._masks:
            if self.count == 1 and window is None:
                self._masks[window] = None
            else:
                query = torch.arange(self.past, self.total, device=device)[:, None]
                key = torch.arange(self.total, device=device)[None, :]
                seen = key <= query
                self._masks[window] = seen if window is None else seen & (key > query - window)
        return self._masks[window]


def ragged_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    segments: Sequence[Segment],
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Transformers' attention interface. `query` has shape [1, heads, tokens, head size], `key` and `value` have
    [1, key-value heads, tokens, head size]; the result has [1, tokens, heads, head size].

    Raises NotImplementedError for attention that caps its scores or has sinks.
    """
    if softcap is not None or s_aux is not None:
        raise NotImplementedError("attention with capped scores or sinks is not supported by backend=transformers")
    layer: int = module.layer_idx  # type: ignore[assignment]
    grouped = query.shape[1] != key.shape[1]
    both = torch.cat((key, value))
    outputs = []
    for segment in segments:
        start, end = segment.start, segment.start + segment.count
        segment.new[layer].copy_(both[:, :, start:end])
        keys_values = segment.all[layer]
        whole_prompt = segment.past == 0 and sliding_window is None and segment.count > 1
        outputs.append(
            scaled_dot_product_attention(
                query[:, :, start:end],
                keys_values[:1],
                keys_values[1:],
                attn_mask=None if whole_prompt else segment.mask(sliding_window, query.device),
                is_causal=whole_prompt,
                scale=scaling,
                enable_gqa=grouped,
            )
        )
    joined = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)
    return joined.transpose(1, 2), None


AttentionInterface.register(RAGGED, ragged_attention)
