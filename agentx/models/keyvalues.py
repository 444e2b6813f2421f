"""Keys and values of token sequences: what a forward pass leaves behind, and the store that keeps it for reuse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

ROUNDING = 128
"""Buffers are sized in steps of this many tokens, so that a growing conversation seldom has to move."""
SURPLUS = 64
"""A stored sequence that differs from a new prompt in no more than its last tokens is taken over, not copied."""


@dataclass(frozen=True)
class CacheShape:
    """What one token's keys and values take."""

    layers: int
    heads: int
    head_size: int
    dtype: torch.dtype
    device: torch.device

    @property
    def bytes_per_token(self) -> int:
        return 2 * self.layers * self.heads * self.head_size * self.dtype.itemsize


class KeyValues:
    """One sequence: token ids and, for the first `length` of them, keys and values.

    `tensor` has shape [layers, 2, heads, capacity, head size].
    """

    def __init__(self, shape: CacheShape, capacity: int) -> None:
        self.shape = shape
        self.capacity = -(-capacity // ROUNDING) * ROUNDING
        self.tensor = torch.empty(
            (shape.layers, 2, shape.heads, self.capacity, shape.head_size), dtype=shape.dtype, device=shape.device
        )
        self.ids = np.zeros(self.capacity, dtype=np.int64)
        self.size = 0
        self.length = 0

    def extend(self, ids: Sequence[int]) -> None:
        self.ids[self.size : self.size + len(ids)] = ids
        self.size += len(ids)

    def copy_prefix(self, other: KeyValues, length: int) -> None:
        """Take over the first `length` tokens of `other`."""
        self.tensor[:, :, :, :length].copy_(other.tensor[:, :, :, :length])
        self.ids[:length] = other.ids[:length]
        self.size = self.length = length

    def truncate(self, length: int) -> None:
        self.size = min(self.size, length)
        self.length = min(self.length, length)

    def common_prefix(self, ids: np.ndarray) -> int:
        """How many leading tokens agree, computed or not."""
        n = min(self.size, len(ids))
        differ = np.flatnonzero(self.ids[:n] != ids[:n])
        return int(differ[0]) if len(differ) else n


@dataclass(frozen=True)
class Match:
    """`length` tokens of `donor` can be reused now; `coming` tokens once running requests have been computed."""

    donor: KeyValues | None
    length: int
    coming: int

    @property
    def worth_waiting(self) -> bool:
        return self.coming - self.length >= SURPLUS


class PrefixStore:
    """Finished sequences, the least recently used dropped first. With the running ones they never hold more than
    `max_tokens` tokens of capacity (rounded up to whole steps of ROUNDING, so that every request that fits the limit
    fits the store)."""

    def __init__(self, shape: CacheShape, max_tokens: int) -> None:
        self.shape = shape
        self.max_tokens = -(-max_tokens // ROUNDING) * ROUNDING
        self._stored: list[KeyValues] = []
        self._running: list[KeyValues] = []

    @property
    def tokens(self) -> int:
        """Capacity in use."""
        return sum(entry.capacity for entry in [*self._stored, *self._running])

    def match(self, ids: np.ndarray) -> Match:
        """The longest prefix of the prompt `ids` that is at hand, and the longest that will be. The last token of a
        prompt is never counted: its forward pass yields the first token of the reply."""
        usable = len(ids) - 1
        donor, length, coming = None, 0, 0
        for entry in [*self._running, *self._stored]:
            agreeing = min(entry.common_prefix(ids), usable)
            coming = max(coming, agreeing)
            if min(agreeing, entry.length) > length:
                donor, length = entry, min(agreeing, entry.length)
        return Match(donor, length, coming)

    def admit(self, ids: np.ndarray, capacity: int, match: Match) -> KeyValues | None:
        """A sequence for the prompt `ids` with room for `capacity` tokens that begins with what `match` found; None
        while running requests leave too little memory."""
        donor = match.donor
        capacity = -(-capacity // ROUNDING) * ROUNDING
        take_over = donor is not None and donor in self._stored and donor.length - match.length <= SURPLUS
        if donor is not None and take_over and donor.capacity >= capacity:
            entry = donor
            entry.truncate(match.length)
        else:
            if not self._make_room(capacity, keep=donor):
                return None
            entry = KeyValues(self.shape, capacity)
            if donor is not None:
                entry.copy_prefix(donor, match.length)
        if take_over and donor in self._stored:
            self._stored.remove(donor)
        entry.extend(ids[match.length :].tolist())
        self._running.append(entry)
        return entry

    def release(self, entry: KeyValues) -> None:
        """The request ended; what was computed stays for others."""
        self._running.remove(entry)
        entry.truncate(entry.length)
        self._stored.append(entry)

    def clear(self) -> None:
        self._stored.clear()
        self._running.clear()

    def _make_room(self, capacity: int, keep: KeyValues | None) -> bool:
        """Drop stored sequences until `capacity` more tokens fit; `keep` goes last."""
        used = self.tokens
        while self._stored and used + capacity > self.max_tokens:
            position = next((i for i, entry in enumerate(self._stored) if entry is not keep), 0)
            used -= self._stored.pop(position).capacity
        return used + capacity <= self.max_tokens
