"""The weights that are tuned: loaded for training, identified for the record."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from agentx.errors import ConfigError
from agentx.models.loading import context_length, from_pretrained, source_of
from agentx.models.settings import ModelSettings
from agentx.tuning import memory
from agentx.tuning.settings import TuningSettings

HASHED_WHOLE = 64 * 2**20
"""Weight files up to this many bytes are hashed whole; of larger ones, name and size."""


def check_tunable(model: ModelSettings, settings: TuningSettings) -> None:
    """Raises ConfigError (UserError where files are missing) when the model has no weights here, or reads fewer tokens
    than tuning.max_length."""
    if model.kind != "local":
        raise ConfigError(f"model={model.name}: has no weights here, so it cannot be tuned; add tuning=none")
    from transformers import AutoConfig

    longest = context_length(model, from_pretrained(AutoConfig, model))
    if settings.max_length > longest:
        raise ConfigError(
            f"tuning.max_length={settings.max_length}: {model.name} reads at most {longest} tokens; lower it"
        )


def check_device(settings: TuningSettings, device: Any) -> None:
    """Raises ConfigError for what this kind of device cannot compute, or this machine cannot compile."""
    if device.type == "cpu" and settings.attention in ("flex_attention", "flash_attention_2"):
        raise ConfigError(
            f"tuning.attention={settings.attention}: cannot train on a CPU (no backward pass there); use "
            "tuning.attention=auto, or trainer=gpu"
        )
    compiler = os.environ.get("CXX", "g++")
    if settings.compile and shutil.which(compiler) is None:
        raise ConfigError(
            f"tuning.compile=true: needs a C++ compiler, and {compiler} is not there; install one (Debian: apt install "
            "g++), or leave tuning.compile out"
        )


def load_weights(model: ModelSettings, settings: TuningSettings, accelerated: bool) -> Any:
    """The causal language model to tune; in 4 bits for qlora.

    On a CPU weights are float32 unless model.dtype says otherwise; on an accelerator they are as stored, and only
    adapters take 32 bits. Weights that are all tuned are always float32. Raises UserError.
    """
    import torch
    from transformers import AutoModelForCausalLM

    options: dict[str, Any] = {"dtype": _dtype(model, settings, accelerated)}
    if settings.attention != "auto":
        options["attn_implementation"] = settings.attention
    if settings.name == "qlora":
        from transformers import BitsAndBytesConfig

        compute = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[settings.precision]
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=compute,
        )
    loaded = from_pretrained(AutoModelForCausalLM, model, **options)
    for layer in loaded.modules():
        # On processors with AVX512-BF16, bitsandbytes would reorder the weights of an evaluated layer for a kernel that
        # computes in bf16 whatever is asked for, and fails where a width is no multiple of 32.
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False
    return loaded


def check_memory(model: ModelSettings, settings: TuningSettings, device: Any, strategy: str, devices: int) -> None:
    """Estimate what the tuning takes before anything is loaded. Raises ConfigError where it cannot fit."""
    needed = estimate_memory(model, settings, device.type != "cpu", strategy, devices)
    local = max(1, devices) if device.type == "cpu" else 1
    memory.check(needed, memory.free_memory(device) / local, device.type.upper().replace("CUDA", "GPU"))


def estimate_memory(
    model: ModelSettings, settings: TuningSettings, accelerated: bool, strategy: str, devices: int
) -> memory.MemoryEstimate:
    """Of one of `devices` devices; reads the model's configuration, not its weights."""
    import torch
    from transformers import AutoConfig

    config = from_pretrained(AutoConfig, model)
    kind = _dtype(model, settings, accelerated)
    if kind == "auto":
        kind = getattr(config, "dtype", None) or torch.float32
    targets = model.lora_targets if settings.targets == "auto" else None
    if settings.targets not in ("auto", "all-linear"):
        targets = [name.strip() for name in settings.targets.split(",") if name.strip()]
    shards = devices if strategy in ("fsdp", "deepspeed_stage_3") else 1
    return memory.estimate(config, settings, targets, kind.itemsize, shards)


def _dtype(model: ModelSettings, settings: TuningSettings, accelerated: bool) -> Any:
    """Of the loaded weights; "auto": as stored."""
    import torch

    if settings.name == "full" or (model.dtype == "auto" and not accelerated):
        return torch.float32
    return model.dtype if model.dtype == "auto" else getattr(torch, model.dtype)


def weights_digest(model: ModelSettings) -> str:
    """Identifies the weights that adapters are tuned on: of a directory by its files, of a Hub id by its name.

    Raises UserError when the directory is not there.
    """
    source = source_of(model)
    digest = hashlib.sha256()
    directory = Path(source)
    if not directory.is_dir():
        digest.update(source.encode())
        return digest.hexdigest()
    for path in sorted([*directory.glob("config.json"), *directory.glob("*.safetensors"), *directory.glob("*.bin")]):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        if path.stat().st_size <= HASHED_WHOLE:
            digest.update(path.read_bytes())
    return digest.hexdigest()
