"""λ: which example each draw takes, as a pure function of seed and draw index.

The loss of Eq. 1 weighs agent and general data by λ and 1 - λ. In its `sampling` form (AgentTuning's, which the
paper follows) every draw is agent data with probability λ; in its `loss_weight` form draws alternate between the
two sets and the weights go into the loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

AGENT, GENERAL = 0, 1

Mixing = Literal["sampling", "loss_weight"]


@dataclass(frozen=True)
class Stream:
    """The draws of a whole tuning: draw i takes example `items[i]` of set `origins[i]` (AGENT or GENERAL)."""

    origins: NDArray[np.int8]
    items: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.origins)


def draw(agent_ratio: float, sizes: tuple[int, int], draws: int, seed: int, mixing: Mixing = "sampling") -> Stream:
    """The first `draws` draws; a longer stream of the same seed begins with the same ones.

    Each set is used up in a random order before it is shuffled anew, so the smaller set never runs dry. A set
    that λ leaves out may be empty. Raises ValueError when a set that is needed is empty.
    """
    if not 0 <= agent_ratio <= 1:
        raise ValueError(f"λ={agent_ratio} is not in [0, 1]")
    if mixing == "loss_weight" and 0 < agent_ratio < 1:
        origins = (np.arange(draws) % 2).astype(np.int8)
    else:
        uniform = np.random.default_rng([seed, 2]).random(draws)
        origins = np.where(uniform < agent_ratio, AGENT, GENERAL).astype(np.int8)
    items = np.empty(draws, np.int64)
    for origin, size, share in ((AGENT, sizes[AGENT], agent_ratio), (GENERAL, sizes[GENERAL], 1 - agent_ratio)):
        if share > 0 and size == 0:
            raise ValueError(f"λ={agent_ratio} draws from an empty set of {('agent', 'general')[origin]} data")
        places = np.flatnonzero(origins == origin)
        items[places] = _rounds(size, len(places), seed, origin)
    return Stream(origins, items)


def _rounds(size: int, count: int, seed: int, origin: int) -> NDArray[np.int64]:
    """`count` items: one permutation of the set after another, each with a seed of its own."""
    if count == 0:
        return np.empty(0, np.int64)
    rounds = [np.random.default_rng([seed, origin, number]).permutation(size) for number in range(-(-count // size))]
    return np.concatenate(rounds)[:count]


def token_weights(
    origins: NDArray[np.int8], trained_tokens: NDArray[np.int64], agent_ratio: float, mixing: Mixing
) -> NDArray[np.float64]:
    """What one trained token of each example counts in the loss of an optimiser step made of these examples.

    The weights of all trained tokens of the step add up to 1, whatever passes and devices they are on: each token
    weighs the same (sampling), or the agent tokens together weigh λ and the general ones 1 - λ (loss_weight).
    """
    if mixing == "sampling" or agent_ratio in (0, 1):
        return np.full(len(origins), 1 / trained_tokens.sum())
    weights = np.empty(len(origins))
    for origin, share in ((AGENT, agent_ratio), (GENERAL, 1 - agent_ratio)):
        weights[origins == origin] = share / trained_tokens[origins == origin].sum()
    return weights


@dataclass(frozen=True)
class Realised:
    """What was really drawn so far."""

    agent_examples: int
    general_examples: int
    agent_tokens: int
    """trained tokens"""
    general_tokens: int

    @property
    def ratio_examples(self) -> float:
        """Share of agent data among the examples: the realised λ."""
        return self.agent_examples / max(1, self.agent_examples + self.general_examples)

    @property
    def ratio_tokens(self) -> float:
        """Share of agent data among the trained tokens."""
        return self.agent_tokens / max(1, self.agent_tokens + self.general_tokens)
