"""A model's weights spread over the devices (FSDP2): each gathers one layer at a time."""

from __future__ import annotations

from typing import Any

from torch import nn


def shard(model: nn.Module, mesh: Any) -> None:
    """Spread the parameters of `model`, decoder layer by decoder layer, over the devices of a one-dimensional `mesh`.

    `model` must be what is called: it gathers what its layers do not hold. Frozen and trained weights may stand beside
    each other.
    """
    from torch.distributed.fsdp import fully_shard

    for layer in _layers(model):
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)


def _layers(model: nn.Module) -> nn.ModuleList:
    """The longest list of modules in the model: its decoder layers."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=len, default=nn.ModuleList())
