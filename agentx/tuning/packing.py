"""Examples to forward passes: groups of like length padded to their longest, or rows packed with several.

On a CPU padded groups are faster: packing saves few tokens when lengths are alike and costs a full attention mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from agentx.tuning.examples import Example

Rows = list[list[int]]
"""Indices of examples, by row."""


@dataclass
class Pass:
    """The tensors of one forward pass, each of shape [rows, length]."""

    ids: torch.Tensor
    positions: torch.Tensor | None
    """Restart at 0 with each example of a packed row, which is also how attention learns the block borders; None
    where a row holds a single example."""
    weights: torch.Tensor
    """What predicting each token counts in the optimiser step's loss; 0 where it is not trained."""
    agent: torch.Tensor
    """Whether the token is of agent data."""


def passes_needed(lengths: Sequence[int], tokens_per_pass: int) -> int:
    """The fewest groups of like length that each take at most `tokens_per_pass` with padding. A longer example has
    a group of its own."""
    longest_first = sorted(lengths, reverse=True)
    groups = start = 0
    while start < len(longest_first):
        groups += 1
        start += max(1, tokens_per_pass // longest_first[start])
    return groups


def group_by_length(lengths: Sequence[int], groups: int, tokens_per_pass: int | None = None) -> Rows:
    """Exactly `groups` groups of neighbours in length with the least padding over all, none above
    `tokens_per_pass` where that can be. Raises ValueError when there are more groups than examples."""
    count = len(lengths)
    if groups > count:
        raise ValueError(f"{count} examples cannot fill {groups} passes")
    order = np.argsort(-np.asarray(lengths), kind="stable")
    longest_first = np.asarray(lengths, np.float64)[order]
    best = np.full((groups + 1, count + 1), np.inf)
    cut = np.zeros((groups + 1, count + 1), np.int64)
    best[0, 0] = 0
    for end in range(1, count + 1):
        starts = np.arange(end)
        padded = longest_first[:end] * (end - starts)
        if tokens_per_pass is not None:
            # A huge but finite price: where the budget cannot be kept, the excess is as small as can be.
            padded = padded + np.where((end - starts > 1) & (padded > tokens_per_pass), padded * 1e6, 0)
        totals = best[:groups, :end] + padded
        cut[1:, end] = totals.argmin(axis=1)
        best[1:, end] = totals.min(axis=1)
    made: Rows = []
    end = count
    for group in range(groups, 0, -1):
        start = int(cut[group, end])
        made.append([int(index) for index in order[start:end]])
        end = start
    return made[::-1]


def pack_rows(lengths: Sequence[int], capacity: int) -> Rows:
    """Best fit, longest first: rows of at most `capacity` tokens (a longer example has a row of its own)."""
    rows: Rows = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        fitting = [row for row, left in enumerate(room) if left >= lengths[index]]
        if fitting:
            row = min(fitting, key=lambda row: room[row])
            rows[row].append(index)
            room[row] -= lengths[index]
        else:
            rows.append([index])
            room.append(capacity - lengths[index])
    return rows


def deal_rows(rows: Rows, passes: int) -> list[Rows]:
    """Rows dealt to exactly `passes` passes, none empty; rows are split where there are too few of them."""
    rows = [list(row) for row in rows]
    while len(rows) < passes:
        fullest = max(range(len(rows)), key=lambda row: len(rows[row]))
        half = len(rows[fullest]) // 2
        if half == 0:
            raise ValueError(f"{len(rows)} examples cannot fill {passes} passes")
        rows.append(rows[fullest][half:])
        rows[fullest] = rows[fullest][:half]
    return [rows[start::passes] for start in range(passes)]


def round_up(length: int, multiple: int, limit: int) -> int:
    """`length`, padded to a multiple where `limit` leaves room for that."""
    return max(length, min(-(-length // multiple) * multiple, limit))


def collate(
    examples: Sequence[Example],
    rows: Rows,
    weights: NDArray[np.float64],
    agent: NDArray[np.bool_],
    padding: int = 0,
    multiple: int = 1,
    limit: int = 0,
) -> Pass:
    """The tensors of one pass. `weights` and `agent` are per example: what one trained token of it counts, and
    whether it is agent data. Rows are padded to the longest of them, and to a `multiple` of tokens within `limit`.

    Padding stands at the end of a row, so that under causal attention no token sees it. In packed rows it is a
    block of its own.
    """
    length = round_up(max(sum(len(examples[index]) for index in row) for row in rows), multiple, limit)
    ids = np.full((len(rows), length), padding, np.int64)
    positions = np.empty((len(rows), length), np.int64)
    token_weights = np.zeros((len(rows), length), np.float32)
    from_agent = np.zeros((len(rows), length), np.bool_)
    for number, row in enumerate(rows):
        start = 0
        for index in row:
            example = examples[index]
            end = start + len(example)
            ids[number, start:end] = example.ids
            positions[number, start:end] = np.arange(len(example))
            token_weights[number, start:end] = np.where(example.trained, weights[index], 0)
            from_agent[number, start:end] = agent[index]
            start = end
        positions[number, start:] = np.arange(length - start)
    packed = any(len(row) > 1 for row in rows)
    return Pass(
        ids=torch.from_numpy(ids),
        positions=torch.from_numpy(positions) if packed else None,
        weights=torch.from_numpy(token_weights),
        agent=torch.from_numpy(from_agent),
    )
