"""What decides a model's replies besides the prompt, and whether they repeat."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from agentx.models.addresses import server_urls, shown
from agentx.models.loading import ADAPTER_CARD, resolve_device, source_of
from agentx.models.settings import BackendSettings, ModelSettings

HASHED_WHOLE = 64 * 2**20
"""files up to this many bytes are hashed whole, of larger ones SAMPLES blocks"""
SAMPLES = 64
BLOCK = 1 << 16


def is_served(model: ModelSettings, backend: BackendSettings) -> bool:
    """Whether a server generates, and not this process."""
    return model.kind == "api" or backend.name == "openai"


def render_mode(model: ModelSettings, backend: BackendSettings) -> str:
    """Who writes a conversation as tokens: `server`, or `local` for this process."""
    if not is_served(model, backend):
        return "local"
    return "server" if model.kind == "api" else backend.render


def reply_identity(model: ModelSettings, backend: BackendSettings, adapter: Path | None) -> dict[str, Any]:
    """What two calls with the same prompt, sampling and seed must share to get the same reply: of a model in this
    process its weights, adapter and arithmetic; of a server its address and the model's name there, for what it has
    loaded cannot be seen, who renders for it and how it is told of choices. Raises UserError where the weights are
    not there."""
    if is_served(model, backend):
        return {
            "render": render_mode(model, backend),
            "choices": backend.choices if backend.name == "openai" else "parsed",
            "served": model.served_name,
            "servers": sorted(map(shown, server_urls(model, backend))),
            "system_prompt": model.system_prompt if model.kind == "local" else "",
            "omit": sorted(model.omit),
        }
    adapter = adapter or (Path(model.adapter) if model.adapter else None)
    return {
        "weights": source_digest(source_of(model)),
        "adapter": None if adapter is None else directory_digest(adapter, ("adapter_*", ADAPTER_CARD)),
        "backend": backend.name,
        "device": str(resolve_device(backend.device)),
        "dtype": model.dtype,
        "quantization": backend.quantization if backend.name == "vllm" else None,
        "context_length": model.context_length,
    }


def source_digest(source: str) -> str:
    """Of a directory by the content of its files; of a Hub id by the commit that lies in the Hub's cache."""
    if Path(source).is_dir():
        return directory_digest(Path(source), ("config.json", "*.safetensors", "*.bin", "tokenizer*", ADAPTER_CARD))
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source, "config.json")
    commit = Path(found).parent.name if isinstance(found, str) else "unknown"
    return f"{source}@{commit}"


def directory_digest(directory: Path, patterns: tuple[str, ...]) -> str:
    """SHA-256 over names, sizes and contents; of very large files over blocks spread evenly from first to last."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in directory.glob(pattern) if path.is_file()}):
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            if size <= HASHED_WHOLE:
                digest.update(file.read())
                continue
            for sample in range(SAMPLES):
                file.seek((size - BLOCK) * sample // (SAMPLES - 1))
                digest.update(file.read(BLOCK))
    return digest.hexdigest()


def why_not_repeatable(model: ModelSettings, backend: BackendSettings) -> str:
    """Why the same request may get another reply next time; empty where it may not."""
    if is_served(model, backend):
        return "a server promises no repetition, whatever the seed"
    if backend.name != "transformers":
        return f"replies of {backend.name} vary a little with what else is in the batch"
    if resolve_device(backend.device).type != "cpu":
        return "on a GPU what else is in the batch can tip a reply"
    if model.dtype not in ("auto", "float32"):
        return f"in {model.dtype} what else is in the batch can tip a reply"
    return ""
