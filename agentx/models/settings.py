"""Options of models and back ends. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from agentx.errors import ConfigError

Template = Literal["tokenizer", "llama2", "openchat", "chatml", "tiny"]


@dataclass
class ModelSettings:
    """One model: where its weights or its server are, how conversations are written for it, how it is prompted."""

    name: str
    """Short name for tables and directories."""
    kind: Literal["local", "api", "expert"] = "local"
    """local: weights on disk or the Hub; api: reached over the network; expert: the task's scripted player."""
    source: str | None = None
    """Directory or Hub id of the weights; null: the checkpoint of that name shipped with this package."""
    adapter: str | None = None
    """Directory of a LoRA adapter in peft's format that was trained on these weights."""
    chat_template: Template = "tokenizer"
    """How turns are written; `tokenizer` takes the template that the tokenizer carries."""
    system_prompt: str = ""
    """System message of conversations that bring none; empty: no system message. Not sent to API models."""
    context_length: int | None = None
    """Prompt and reply together, in tokens; null: what the model's own configuration says."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the weights in memory; auto: as stored on an accelerator, float32 on a CPU."""
    prompt: Literal["plain", "compact"] = "plain"
    """Default of task.prompt for this model."""
    shots: int = 1
    """Default number of worked examples in a prompt."""
    max_tokens: int = 256
    """Longest reply in tokens."""
    parameters: float | None = None
    """Billions of parameters, for tables; null: unknown."""
    lora_targets: list[str] | None = None
    """Modules that LoRA adapts, where `all-linear` is not right; null: all-linear."""
    gated: bool = False
    """Whether the Hub asks for a licence to be accepted first."""
    licence: str | None = None
    """Page where the licence is accepted or can be read."""
    api_name: str | None = None
    """Name the server knows the model by; null: source, or else name."""
    base_url: str | None = None
    """Endpoint of an API model; null: OpenAI's own. backend.base_url goes before it."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds an API model's key."""

    def __post_init__(self) -> None:
        for option, least in (("shots", 0), ("max_tokens", 1), ("context_length", 16)):
            value = getattr(self, option)
            if value is not None and value < least:
                raise ConfigError(f"model.{option}={value}: must be at least {least}")
        if self.kind != "local" and self.adapter:
            raise ConfigError(f"model.adapter={self.adapter}: {self.name} is not a local model and takes no adapter")
        if self.context_length is not None and self.max_tokens >= self.context_length:
            raise ConfigError(
                f"model.max_tokens={self.max_tokens}: leaves no room for a prompt in "
                f"model.context_length={self.context_length}; lower it"
            )
        _check_url("model.base_url", self.base_url)

    @property
    def served_name(self) -> str:
        """What a server is asked for."""
        return self.api_name or self.source or self.name


@dataclass
class BackendSettings:
    """What generates. The first options after `max_concurrency` are the transformers back end's, the rest the
    openai back end's; each YAML of conf/backend lists those that it heeds."""

    name: Literal["transformers", "openai"] = "transformers"
    """transformers: in this process; openai: any server with OpenAI's chat completions interface."""
    max_concurrency: int = 32
    """Requests in one forward pass, or open connections; further ones wait their turn."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs; auto: a GPU if there is one."""
    cache_tokens: int | None = None
    """Tokens whose keys and values are kept, those of running requests included; null: by the memory there is."""
    prefill_tokens: int = 2048
    """Most tokens in one forward pass; longer prompts are read in several."""
    threads: int | None = None
    """CPU threads of a forward pass; null: torch's default."""
    base_url: str | None = None
    """Server, e.g. http://localhost:8000/v1; null: the API model's own."""
    api_key_env: str | None = None
    """Environment variable that holds the key; null: the API model's own, or none for a local model."""
    timeout: float = 120.0
    """Seconds until an unanswered request is tried again."""
    max_retries: int = 6
    """Further tries after status 408, 409, 429 or 5xx, a timeout or a cut connection, with growing pauses."""

    def __post_init__(self) -> None:
        for option, least in (
            ("max_concurrency", 1),
            ("cache_tokens", 16),
            ("prefill_tokens", 16),
            ("threads", 1),
            ("max_retries", 0),
        ):
            value = getattr(self, option)
            if value is not None and value < least:
                raise ConfigError(f"backend.{option}={value}: must be at least {least}")
        if self.timeout <= 0:
            raise ConfigError(f"backend.timeout={self.timeout}: must be above 0 seconds")
        _check_url("backend.base_url", self.base_url)


def _check_url(option: str, url: str | None) -> None:
    if url is None:
        return
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{option}={url}: must be an address like http://localhost:8000/v1")
    if parts.username or parts.password:
        raise ConfigError(f"{option}: must not hold a user or password; put the key into an environment variable")
