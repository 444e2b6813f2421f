"""From logits to tokens, and from tokens to the text of a reply."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from agentx.models.chat import Sampling


def choose(logits: torch.Tensor, samplings: Sequence[Sampling], draws: Sequence[float]) -> list[int]:
    """One token for each row of `logits` [rows, vocabulary].

    A row with temperature 0 takes its best token. Another is sampled by inverting its cumulative distribution at
    its own number from `draws`, in [0, 1): what a request gets depends on its seed and its logits, never on the
    rows beside it.
    """
    best = logits.argmax(dim=-1)
    rows = [i for i, sampling in enumerate(samplings) if sampling.temperature > 0]
    if rows:
        index = torch.tensor(rows, device=logits.device)
        temperatures = torch.tensor([samplings[i].temperature for i in rows], device=logits.device)
        probabilities = (logits[index].double() / temperatures[:, None]).softmax(dim=-1)
        if any(samplings[i].top_p < 1 for i in rows):
            top_p = torch.tensor([samplings[i].top_p for i in rows], dtype=torch.double, device=logits.device)
            ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
            before = ordered.cumsum(dim=-1) - ordered
            ordered = ordered.masked_fill(before >= top_p[:, None], 0.0)
            probabilities = torch.zeros_like(probabilities).scatter(1, order, ordered)
        cumulative = probabilities.cumsum(dim=-1)
        draw = torch.tensor([draws[i] for i in rows], dtype=torch.double, device=logits.device)
        threshold = (draw * cumulative[:, -1])[:, None]
        best[index] = torch.searchsorted(cumulative, threshold, right=True).squeeze(1).clamp_max(logits.shape[-1] - 1)
    return best.tolist()


def keep_only(logits: torch.Tensor, allowed: Sequence[int]) -> torch.Tensor:
    """`logits` [vocabulary] with every other token made impossible."""
    masked = torch.full_like(logits, -torch.inf)
    index = torch.tensor(allowed, device=logits.device)
    masked[index] = logits[index]
    return masked


def cut_at_stop(ids: Sequence[int], stop: Sequence[str], decode: Callable[[Sequence[int]], str]) -> str | None:
    """The text before the first stop string, or None while there is none.

    Only the end of a reply can hold a new stop string, so that is decoded first; every token gives at most a few
    characters less than its bytes, hence the generous margin.
    """
    reach = 4 * max(map(len, stop)) + 8
    if len(ids) > reach:
        tail = decode(ids[-reach:])
        if not any(string in tail for string in stop):
            return None
    text = decode(ids)
    positions = [position for string in stop if (position := text.find(string)) >= 0]
    return text[: min(positions)] if positions else None
