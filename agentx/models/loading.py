"""Models opened: weights, tokenizer and adapter from a directory or the Hub, or a connection to a server.

Whatever a user can mend (no network, a licence not accepted, a wrong directory, an adapter of another model) is a
UserError of one line. No code that comes with a checkpoint is run, and adapters are read as safetensors only.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentx.errors import ConfigError, UserError
from agentx.models.chat import ChatModel
from agentx.models.settings import BackendSettings, ModelSettings

if TYPE_CHECKING:
    import torch

    from agentx.models.rendering import Renderer

SHIPPED = Path(__file__).parent
ADAPTER_CARD = "agentx.json"
"""Beside an adapter made by this project: which model and chat template it was tuned with."""


def open_model(model: ModelSettings, backend: BackendSettings, adapter: str | Path | None = None) -> ChatModel:
    """The model ready to be called; `adapter` goes before `model.adapter`.

    An API model is reached through its server whatever the back end, so that policy and judge may differ.
    Raises UserError (ConfigError where an option is at fault).
    """
    adapter = adapter or model.adapter
    if model.kind == "expert":
        raise ConfigError(f"model={model.name}: is a task's scripted player; it records data and cannot be evaluated")
    if model.kind == "api" or backend.name == "openai":
        if adapter is not None:
            raise ConfigError(
                f"backend=openai: a server loads adapters itself; serve {adapter} there, set model.api_name to its "
                "name on the server and leave model.adapter empty, or use backend=transformers"
            )
        if backend.name == "openai" and backend.render == "local" and model.kind == "local":
            return _open_rendered(model, backend)
        from agentx.models.openai_backend import OpenAIModel

        return OpenAIModel(model, backend)
    if backend.name == "vllm":
        from agentx.models.vllm_backend import open_vllm

        return open_vllm(model, backend, adapter)
    return _open_in_process(model, backend, adapter)


def _open_rendered(model: ModelSettings, backend: BackendSettings) -> ChatModel:
    from transformers import AutoConfig

    from agentx.models.rendered_backend import RenderedModel

    length = context_length(model, from_pretrained(AutoConfig, model))
    return RenderedModel(replace(model, context_length=length), backend, load_renderer(model), end_tokens(model))


def _open_in_process(model: ModelSettings, backend: BackendSettings, adapter: str | Path | None) -> ChatModel:
    from agentx.models.engine import Engine, cache_shape
    from agentx.models.transformers_backend import TransformersModel, default_cache_tokens

    device = resolve_device(backend.device)
    renderer = load_renderer(model, adapter)
    weights = load_weights(model, device, adapter)
    _check_supported(model, weights)
    length = context_length(model, weights.config)
    held = backend.cache_tokens or default_cache_tokens(cache_shape(weights).bytes_per_token, device, length)
    if held < length:
        raise ConfigError(
            f"backend.cache_tokens={held}: must hold one conversation of {model.name}, {length} tokens; raise it or "
            "lower model.context_length"
        )
    engine = Engine(
        weights,
        renderer.decode,
        renderer.end_token_ids | _ends(getattr(weights, "generation_config", None)),
        max_concurrency=backend.max_concurrency,
        max_tokens=held,
        prefill_tokens=backend.prefill_tokens,
        threads=backend.threads,
    )
    return TransformersModel(model.name, renderer, engine, length)


def source_of(model: ModelSettings) -> str:
    """Directory or Hub id of the weights; a directory is looked into first."""
    if model.kind != "local":
        raise ConfigError(f"model={model.name}: has no weights here; it is of kind {model.kind}")
    if model.source is None:
        shipped = SHIPPED / model.name
        if not (shipped / "config.json").is_file():
            raise UserError(
                f"model={model.name}: no checkpoint of that name comes with this package; set model.source to a "
                "directory or Hub id"
            )
        return str(shipped)
    directory = Path(model.source).expanduser()
    if not directory.exists():
        looks_like_path = directory.is_absolute() or model.source.startswith((".", "~")) or model.source.count("/") != 1
        if looks_like_path:
            raise UserError(f"model.source={model.source}: no such directory")
        return model.source
    if not directory.is_dir():
        raise UserError(f"model.source={model.source}: is a file; give the directory that holds config.json")
    for names, what in (
        (("config.json",), "model configuration"),
        (("tokenizer.json", "tokenizer.model"), "tokenizer"),
        (("*.safetensors", "*.bin"), "weights"),
    ):
        if not any(next(directory.glob(name), None) for name in names):
            raise UserError(f"model.source={model.source}: holds no {what} ({' or '.join(names)})")
    return str(directory)


def load_tokenizer(model: ModelSettings) -> Any:
    """The model's tokenizer. Raises UserError."""
    from transformers import AutoTokenizer

    options: dict[str, Any] = {}
    if model.chat_template == "openchat":
        # Its checkpoints were trained with a blank before text that follows a control token, which the
        # library now leaves out unless asked.
        options["legacy"] = True
    return from_pretrained(AutoTokenizer, model, **options)


def load_renderer(model: ModelSettings, adapter: str | Path | None = None) -> Renderer:
    """The renderer that a model is tuned and served with. Raises UserError where an adapter was tuned with another."""
    from agentx.models.rendering import Renderer

    renderer = Renderer(load_tokenizer(model), model.chat_template, model.system_prompt)
    # A tuned model in a directory of its own (tuning=full, job=merge) bears a card like an adapter's.
    card = read_card(Path(adapter if adapter is not None else source_of(model)))
    if card.get("template_sha256", renderer.sha256) != renderer.sha256:
        raise UserError(
            f"{adapter or model.source}: was tuned with chat template {card.get('template')!r}, and {model.name} would "
            "be prompted with another; set model.chat_template (and model.system_prompt) as they were, or tune again"
        )
    return renderer


def load_weights(model: ModelSettings, device: torch.device, adapter: str | Path | None = None) -> Any:
    """The causal language model for inference, adapter applied.

    A float32 model takes the adapter into its weights, which changes replies no more than rounding does. In
    fewer bits that would round the adapter away in part, so there it stays beside the weights. Raises UserError.
    """
    import torch
    from transformers import AutoModelForCausalLM

    dtype: Any = model.dtype
    if dtype == "auto" and device.type == "cpu":
        dtype = torch.float32
    elif dtype != "auto":
        dtype = getattr(torch, dtype)
    weights = from_pretrained(AutoModelForCausalLM, model, dtype=dtype).to(device)
    if adapter is not None:
        weights = _apply_adapter(model, weights, Path(adapter))
    return weights.eval().requires_grad_(False)


def check_adapter(model: ModelSettings, adapter: Path) -> None:
    """Raises UserError unless the directory holds a LoRA adapter of this model, in peft's format."""
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (adapter / name).is_file():
            raise UserError(
                f"model.adapter={adapter}: holds no {name}; give the directory of a LoRA adapter saved by peft"
            )
    _check_base(model, adapter)


def _apply_adapter(model: ModelSettings, weights: Any, adapter: Path) -> Any:
    import torch
    from peft import PeftModel

    check_adapter(model, adapter)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Found missing adapter keys")
            adapted = PeftModel.from_pretrained(weights, str(adapter), is_trainable=False)
    except (RuntimeError, ValueError, KeyError, UserWarning) as error:
        raise UserError(
            f"model.adapter={adapter}: does not fit {model.name} ({first_line(error)}); it was tuned on other weights"
        ) from error
    if weights.dtype == torch.float32:
        return adapted.merge_and_unload()
    return adapted.get_base_model()


def _check_base(model: ModelSettings, adapter: Path) -> None:
    """The base that the adapter names must not be another model than this one."""
    tuned_from = read_card(adapter).get("model")
    if tuned_from is not None and tuned_from != model.name:
        raise UserError(
            f"model.adapter={adapter}: was tuned from {tuned_from}, not {model.name}; set model={tuned_from}"
        )
    try:
        base = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (ValueError, AttributeError) as error:
        raise UserError(f"{adapter / 'adapter_config.json'}: is not a peft configuration ({error})") from error
    source = model.source
    if not base or source is None or Path(base).exists() or Path(source).exists():
        return
    if base.count("/") == 1 and base.lower() != source.lower():
        raise UserError(f"model.adapter={adapter}: was tuned on {base}, not on {source}; set model.source={base}")


def read_card(adapter: Path) -> dict[str, Any]:
    """What this project noted when it made the adapter; empty for adapters from elsewhere."""
    path = adapter / ADAPTER_CARD
    if not path.is_file():
        return {}
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: cannot be read ({error}); tune the adapter again") from error
    return card if isinstance(card, dict) else {}


def context_length(model: ModelSettings, config: Any) -> int:
    """Prompt and reply together, in tokens. Raises ConfigError where neither settings nor model say it."""
    own = getattr(config.get_text_config(), "max_position_embeddings", None)
    length = model.context_length or own
    if length is None:
        raise ConfigError("model.context_length: the model's configuration does not say it; give it")
    if own is not None and length > own:
        raise ConfigError(f"model.context_length={length}: {model.name} was made for at most {own} tokens")
    return int(length)


def resolve_device(option: str) -> torch.device:
    """Raises ConfigError for cuda without a GPU."""
    import torch

    if option == "cuda" and not torch.cuda.is_available():
        raise ConfigError("backend.device=cuda: torch finds no GPU here; use backend.device=auto or cpu")
    if option == "auto":
        option = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(option)


def from_pretrained(loader: Any, model: ModelSettings, **options: Any) -> Any:
    """`loader.from_pretrained` of the model's source, its failures told as one line."""
    source = source_of(model)
    try:
        return loader.from_pretrained(source, **options)
    except (OSError, ValueError, ImportError, KeyError) as error:
        if Path(source).is_dir():
            raise UserError(f"model.source={source}: cannot be loaded: {first_line(error)}") from error
        licence = ""
        if model.gated:
            page = f" at {model.licence}" if model.licence else ""
            licence = f" and that its licence{page} is accepted for the account you are logged in with (hf auth login)"
        raise UserError(
            f"model={model.name}: {source} cannot be had from the Hub ({first_line(error)}); check the network"
            f"{licence}, or download it elsewhere and set model.source=/path/to/it"
        ) from error


def first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]


def end_tokens(model: ModelSettings) -> frozenset[int]:
    """What the checkpoint's own generation settings end a reply with, read without its weights."""
    from transformers import AutoConfig, GenerationConfig

    try:
        return _ends(GenerationConfig.from_pretrained(source_of(model)))
    except OSError:  # it has none of its own
        return _ends(GenerationConfig.from_model_config(from_pretrained(AutoConfig, model)))


def _ends(generation_config: Any) -> frozenset[int]:
    ends = getattr(generation_config, "eos_token_id", None)
    return frozenset([ends] if isinstance(ends, int) else ends or [])


def _check_supported(model: ModelSettings, weights: Any) -> None:
    """The engine needs the library's exchangeable attention, and positions that mean the same in every batch."""
    config = weights.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or {}
    if not weights._can_set_attn_implementation() or not hasattr(config, "num_attention_heads"):
        reason = f"{type(weights).__name__} does not use transformers' exchangeable attention"
    elif rope.get("rope_type") in ("dynamic", "longrope"):
        reason = f"its {rope['rope_type']} positions depend on what else is in the batch"
    else:
        return
    raise UserError(
        f"model={model.name}: backend=transformers cannot run it ({reason}); serve it and use backend=openai"
    )
