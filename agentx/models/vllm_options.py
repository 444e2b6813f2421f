"""What vLLM is started with, the same in this process and as a server: names as in its engine arguments."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentx.errors import ConfigError, UserError
from agentx.models.loading import check_adapter, context_length, from_pretrained, source_of
from agentx.models.settings import BackendSettings, ModelSettings

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM reserves memory for; an adapter gets the next one."""
CPU_CACHE_BYTES = 2 << 30
"""Keys and values on a CPU unless backend.cache_gib says otherwise; vLLM itself would take most of the memory."""


def has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def engine_options(
    model: ModelSettings, backend: BackendSettings, adapters: Mapping[str, Path], *, gpu: bool
) -> dict[str, Any]:
    """vLLM's engine arguments for `model`, with room for `adapters` (name to directory).

    Raises UserError (ConfigError where an option is at fault) for what vLLM could not serve.
    """
    from transformers import AutoConfig

    if backend.tensor_parallel_size > 1 and not gpu:
        raise ConfigError(f"backend.tensor_parallel_size={backend.tensor_parallel_size}: there is no GPU here; use 1")
    options: dict[str, Any] = {
        "model": source_of(model),
        "dtype": "float32" if model.dtype == "auto" and not gpu else model.dtype,
        "max_model_len": context_length(model, from_pretrained(AutoConfig, model)),
        "max_num_seqs": backend.max_concurrency,
        "max_num_batched_tokens": max(backend.prefill_tokens, backend.max_concurrency),
        "tensor_parallel_size": backend.tensor_parallel_size,
        "enable_prefix_caching": backend.prefix_caching,
        "enforce_eager": (not gpu) if backend.enforce_eager is None else backend.enforce_eager,
        # The checkpoint's own sampling settings (a repetition penalty, say) are not silently added to ours.
        "generation_config": "vllm",
        "seed": 0,
    }
    if gpu:
        options["gpu_memory_utilization"] = backend.gpu_memory_utilization
    if backend.cache_gib is not None or not gpu:
        options["kv_cache_memory_bytes"] = int((backend.cache_gib or 0) * 2**30) or CPU_CACHE_BYTES
    if backend.quantization is not None:
        options["quantization"] = backend.quantization
    if adapters:
        ranks = [adapter_rank(model, path) for path in adapters.values()]
        options |= {"enable_lora": True, "max_loras": len(ranks), "max_lora_rank": max(ranks)}
    return options


def adapter_rank(model: ModelSettings, adapter: Path) -> int:
    """The rank that vLLM has to be told for a LoRA adapter in peft's format. Raises UserError for an adapter that it
    cannot serve as it was trained."""
    check_adapter(model, adapter)
    settings = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    unsupported = [
        what
        for what, found in (
            ("DoRA", settings.get("use_dora")),
            ("trained biases", settings.get("lora_bias") or settings.get("bias", "none") != "none"),
            ("whole modules (modules_to_save)", settings.get("modules_to_save")),
        )
        if found
    ]
    if unsupported:
        raise UserError(f"{adapter}: has {unsupported[0]}, which vLLM cannot serve; use backend=transformers")
    rank = max([int(settings.get("r", 0)), *map(int, (settings.get("rank_pattern") or {}).values())])
    fitting = [allowed for allowed in LORA_RANKS if allowed >= rank]
    if not fitting:
        raise UserError(f"{adapter}: has rank {rank}, and vLLM serves at most {LORA_RANKS[-1]}")
    return fitting[0]


def environment(*, gpu: bool) -> dict[str, str]:
    """Environment variables that vLLM reads when it is imported; what the user has set stays."""
    wanted = {
        "VLLM_NO_USAGE_STATS": "1",
        # A forked copy of a process with threads (ours) may hang.
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    }
    if not gpu:
        wanted["TORCH_COMPILE_DISABLE"] = "1"
    return {name: value for name, value in wanted.items() if name not in os.environ}


def command_line(options: Mapping[str, Any]) -> list[str]:
    """`options` as flags: --max-model-len 4096, --enforce-eager, --no-enable-prefix-caching."""
    words: list[str] = []
    for name, value in options.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", str(value)]
    return words
