"""How much memory a model takes while it generates, estimated from its configuration alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from agentx.errors import UserError
from agentx.models.loading import context_length, from_pretrained, source_of
from agentx.models.settings import BackendSettings, ModelSettings
from agentx.models.vllm_options import CPU_CACHE_BYTES

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
QUANTISED = {"fp8": 1.0, "int8": 1.0}
NIBBLE = 0.55
"""bytes of a weight, with its share of the scales: by backend.quantization, and of all others, which hold 4 bits"""


@dataclass(frozen=True)
class Generation:
    """Bytes on one device."""

    weights: float
    reserved: float
    """what the back end takes for keys and values whatever is asked of it"""
    request: float | None
    """keys and values of one conversation as long as the model can hold; None where that is not known"""
    share: float = 1.0
    """of the device's memory that the back end takes at most"""

    @property
    def least(self) -> float:
        """With less, nothing can be generated."""
        return self.weights + max(self.reserved, self.request or 0.0)


def generation(model: ModelSettings, backend: BackendSettings, *, gpu: bool) -> Generation | None:
    """Of a model with weights, in this process; None where its size is not known. Nothing is downloaded."""
    config = configuration(model)
    numbers = 1e9 * model.parameters if model.parameters else None
    # A directory of the user's may hold another model than the one that the choice describes.
    if config is not None and (numbers is None or Path(source_of(model)).is_dir()):
        numbers = _parameters(config)
    if numbers is None:
        return None
    width = _width(model, config, gpu)
    quantised = QUANTISED.get(backend.quantization or "", NIBBLE if backend.quantization else None)
    in_vllm = backend.name == "vllm"
    devices = backend.tensor_parallel_size if in_vllm and gpu else 1
    given = 2**30 * backend.cache_gib if backend.cache_gib is not None else 0 if gpu else CPU_CACHE_BYTES
    request = None if config is None else _per_token(config) * width * context_length(model, config) / devices
    return Generation(
        weights=numbers * (quantised or width) / devices,
        reserved=given if in_vllm else 0.0,
        request=request,
        share=backend.gpu_memory_utilization if in_vllm and gpu else 1.0,
    )


@cache
def _read(source: str, name: str) -> Any:
    from transformers import AutoConfig

    try:
        return from_pretrained(AutoConfig, ModelSettings(name=name, source=source), local_files_only=True)
    except UserError:
        return None


def configuration(model: ModelSettings) -> Any:
    """The library's configuration of the model where it is on this machine; None where it would have to be downloaded.

    Raises UserError for a directory that is not there.
    """
    return _read(source_of(model), model.name)


def _parameters(config: Any) -> float:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return float(sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters()))


def _width(model: ModelSettings, config: Any, gpu: bool) -> int:
    """Bytes of a number. "auto": 32 bits on a CPU, else as stored."""
    if model.dtype != "auto":
        return BYTES[model.dtype]
    if not gpu:
        return 4
    stored = getattr(config, "dtype", None)
    return 2 if stored is None else int(stored.itemsize)


def _per_token(config: Any) -> int:
    """Numbers that keys and values of one token are."""
    text = config.get_text_config()
    heads = text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // heads
    return 2 * int(text.num_hidden_layers) * int(getattr(text, "num_key_value_heads", None) or heads) * int(width)
