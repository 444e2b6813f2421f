"""LoRA layers computed in one autograd function, as peft defines them: W x + s B A x.

peft adds the adapter's part in operators of their own, each of which reads and writes a whole activation, and autograd
keeps the steps between. Here the matrix products add onto what is there already: the same sums in fewer passes over
memory (about a tenth of a training step of the embedded model; benchmarks/tuning.py).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def fuse_adapters(model: nn.Module) -> int:
    """Have every layer of `model` that allows it computed this way; how many do.

    Layers with dropout, DoRA, a bias of their own or quantised weights stay peft's.
    """
    fused = [layer for layer in model.modules() if type(layer) is Linear and _plain(layer)]
    for layer in fused:
        layer.__class__ = FusedLinear
    return len(fused)


def _plain(layer: Linear) -> bool:
    (name, *others) = layer.active_adapters
    adapters = (layer.lora_A[name], layer.lora_B[name])
    return (
        not others
        and type(layer.base_layer) is nn.Linear
        and name not in layer.lora_variant
        and isinstance(layer.lora_dropout[name], nn.Identity)
        and all(adapter.bias is None for adapter in adapters)
        and not layer.base_layer.weight.requires_grad
    )


class FusedLinear(Linear):
    """A peft layer whose adapter, while it is switched on, is computed by `AdaptedLinear`."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if self.disable_adapters or self.merged or args or kwargs:
            return super().forward(x, *args, **kwargs)
        (name,) = self.active_adapters
        base, down, up = self.base_layer, self.lora_A[name], self.lora_B[name]
        tensors: list[Any] = [x, base.weight, base.bias, down.weight, up.weight]
        if torch.is_autocast_enabled(x.device.type):
            kind = torch.get_autocast_dtype(x.device.type)
            tensors = [None if tensor is None else tensor.to(kind) for tensor in tensors]
        if len({tensor.dtype for tensor in tensors if tensor is not None}) > 1:
            return super().forward(x)
        return AdaptedLinear.apply(*tensors, self.scaling[name])


class AdaptedLinear(torch.autograd.Function):
    """x Wᵀ + b + s (x Aᵀ) Bᵀ, differentiable in x, A [rank, in] and B [out, rank]; W [out, in] and b are frozen."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scaling: float
    ) -> Tensor:
        inputs = x.reshape(-1, x.shape[-1])
        inner = inputs @ down.t()
        ctx.save_for_backward(inputs, inner, weight, down, up)
        ctx.scaling, ctx.shape = scaling, x.shape
        return F.linear(inputs, weight, bias).addmm_(inner, up.t(), alpha=scaling).view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, inner, weight, down, up = ctx.saved_tensors
        gradient = gradient.reshape(-1, gradient.shape[-1])
        of_inner = (gradient @ up).mul_(ctx.scaling)
        of_down = of_inner.t() @ inputs
        of_up = (gradient.t() @ inner).mul_(ctx.scaling)
        of_x = (gradient @ weight).addmm_(of_inner, down).view(ctx.shape) if ctx.needs_input_grad[0] else None
        return of_x, None, None, of_down, of_up, None
