"""Weights to begin from: random, with heads that copy.

A small model finds copying (an earlier "… mug 3", then "mug" again, so "3" follows) only after many millions of tokens,
and everything an agent does here is built on it. The circuit that does it is known: one head attends to the
token before, a later one to where that token was the present one (induction heads, Olsson et al. 2022). Here the
weights start with a rough version of it, written over random weights, as structured initialisations do for other
patterns (Trockman and Kolter 2023); training is free to change all of it. It knows no text: it repeats random tokens.

In the first block a head writes the content of the token before into a subspace of its own. In the next two blocks
heads look for the place whose preceding token is the present one, in the slowly turning dimensions of the rotary
embedding, where distance does not matter, and pass on what they find there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

EMBEDDING = 0.1
"""standard deviation of the input embeddings"""
OUTPUT = 0.04
"""standard deviation of the output embeddings, which start as the input's directions"""
CONSTANT = 6.0
"""component that all input embeddings share, in standard deviations: what the first head finds positions by"""
FAST, SLOW = 0.02, 0.004
"""radians a token from which on, and up to which, a rotary dimension tells neighbours apart, or ignores distance"""
SHARPNESS = 20.0
"""attention logit of the first head on the token before"""
MATCH = 2.5
"""scale of queries and keys that compare tokens"""
COPY = 6.0
"""strength of what is copied, in standard deviations of the embeddings"""
COPYING_HEADS = (2, 1)
"""heads that copy, in the second block and the third"""


@torch.no_grad()
def scale_embeddings(model: LlamaForCausalLM) -> None:
    """Wide input embeddings, which an optimizer's first steps do not drown, and as output embeddings the same
    directions; blocks start by passing their input on."""
    tokens, output = model.model.embed_tokens.weight, model.lm_head.weight
    tokens.mul_(EMBEDDING / tokens.std())
    output.copy_(tokens * (OUTPUT / EMBEDDING))
    for block in model.model.layers:
        block.self_attn.o_proj.weight.zero_()
        block.mlp.down_proj.weight.zero_()


@torch.no_grad()
def write_copying_heads(model: LlamaForCausalLM, seed: int) -> None:
    """Writes the circuit of this module's head into `model`, drawing its subspaces by `seed`.

    Needs untied embeddings and three heads or more.
    """
    config = model.config
    width = config.hidden_size // config.num_attention_heads
    half = width // 2
    theta = float(config.rope_parameters["rope_theta"])  # type: ignore[index, arg-type]
    turns = [theta ** (-i / half) for i in range(half)]
    generator = torch.Generator().manual_seed(seed)
    # The first component of the residual stream is the constant; all contents live in the others.
    model.model.embed_tokens.weight[:, 0] = EMBEDDING * CONSTANT
    model.lm_head.weight[:, 0] = 0
    size = config.hidden_size - 1
    directions = _orthonormal(size, size, generator)
    content, before = directions[:width], directions[width : 2 * width]
    first, *later = model.model.layers
    _look_back(first.self_attn, slice(0, width), turns, content, before)
    slow = [i + shift for shift in (0, half) for i in range(half) if turns[i] < SLOW]
    for block, heads in zip(later, COPYING_HEADS, strict=False):
        values = _orthonormal(size, size, generator)
        for head in range(heads):
            rows = slice(head * width, (head + 1) * width)
            _copy_after_match(block.self_attn, rows, slow, content, before, values[rows])


def _orthonormal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(columns, rows, generator=generator))[0].T


def _look_back(attention: torch.nn.Module, rows: slice, turns: list[float], content: Tensor, before: Tensor) -> None:
    """The head at `rows` attends one place back and writes what it reads of `content` into `before`."""
    query, key, value, output = _weights(attention)
    query[rows] = key[rows] = value[rows] = 0
    output[:, rows] = 0
    half = len(turns)
    fast = [i for i in range(half) if turns[i] >= FAST]
    # An embedding's root mean square is 1 after the norm, where the constant is CONSTANT / norm.
    size = output.shape[0]
    constant = CONSTANT / math.sqrt(1 + CONSTANT**2 / size)
    strength = math.sqrt(SHARPNESS * math.sqrt(2 * half) / len(fast)) / constant
    for i in fast:
        key[rows.start + i, 0] = strength
        query[rows.start + i, 0] = strength * math.cos(turns[i])
        query[rows.start + half + i, 0] = -strength * math.sin(turns[i])
    value[rows, 1:] = content
    output[1:, rows] = EMBEDDING * before.T


def _copy_after_match(
    attention: torch.nn.Module, rows: slice, slow: list[int], content: Tensor, before: Tensor, values: Tensor
) -> None:
    """The head at `rows` attends to places whose preceding token is the present one and passes `values` on."""
    query, key, value, output = _weights(attention)
    query[rows] *= 0.1
    key[rows] *= 0.1
    for j, dimension in enumerate(slow):
        query[rows.start + dimension, 1:] += MATCH * content[j]
        key[rows.start + dimension, 1:] += MATCH * before[j]
    value[rows, 1:] = values
    output[1:, rows] = COPY * EMBEDDING * values.T


def _weights(attention: torch.nn.Module) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return tuple(getattr(attention, f"{name}_proj").weight for name in "qkvo")
