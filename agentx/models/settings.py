"""Options of models and back ends. Imports nothing heavy."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
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
    omit: list[Literal["temperature", "top_p", "seed", "stop"]] = field(default_factory=list)
    """What a server is not sent, for models that refuse it: the server then decides."""

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
        _check_variable("model.api_key_env", self.api_key_env)

    @property
    def served_name(self) -> str:
        """What a server is asked for."""
        return self.api_name or self.source or self.name


@dataclass
class BackendSettings:
    """What generates. Each YAML of conf/backend lists the options that its back end heeds."""

    name: Literal["transformers", "vllm", "openai"] = "transformers"
    """transformers: in this process; vllm: in this process, in an engine of vLLM; openai: any server with OpenAI's chat
    completions interface."""
    max_concurrency: int = 32
    """Requests in one forward pass, or open connections to each server; further ones wait their turn."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs; auto: a GPU if there is one."""
    cache_tokens: int | None = None
    """Tokens whose keys and values are kept, those of running requests included; null: by the memory there is."""
    prefill_tokens: int = 2048
    """Most tokens in one forward pass; longer prompts are read in several."""
    threads: int | None = None
    """CPU threads of a forward pass; null: torch's default."""
    tensor_parallel_size: int = 1
    """vLLM: GPUs that share one model."""
    gpu_memory_utilization: float = 0.9
    """vLLM: share of a GPU's memory for weights, keys and values."""
    cache_gib: float | None = None
    """vLLM: GiB for keys and values; null: what gpu_memory_utilization leaves, 2 on a CPU."""
    quantization: str | None = None
    """vLLM: how weights are quantised, e.g. fp8, bitsandbytes, awq, gptq; null: as the checkpoint says."""
    prefix_caching: bool = True
    """vLLM: whether prompts reuse what others with the same beginning have computed."""
    enforce_eager: bool | None = None
    """vLLM: no compiled graphs, which starts faster and runs slower; null: only on a CPU."""
    base_url: str | list[str] | None = None
    """Server, e.g. http://localhost:8000/v1, or a list of servers that share the calls; null: the API model's own."""
    api_key_env: str | None = None
    """Environment variable that holds the key; null: the API model's own, or none for a local model."""
    timeout: float = 120.0
    """Seconds until an unanswered request is tried again."""
    render: Literal["server", "local"] = "server"
    """openai: who writes the conversation as tokens. local: this process, with the model's own template, and the server
    (vLLM) only completes them; server: the server, with the template it has."""
    choices: Literal["parsed", "structured_outputs", "guided_choice", "json_schema"] = "parsed"
    """openai: how the server is told that a reply must be one of a few (the judge's verdicts and picks).
    structured_outputs: vLLM; guided_choice: older vLLM, FastChat; json_schema: OpenAI; parsed: it is not told."""
    max_retries: int = 6
    """Further tries after status 408, 409, 429 or 5xx, a timeout, a cut connection or an unreadable answer, with
    growing pauses or those the server asks for."""

    def __post_init__(self) -> None:
        for option, least in (
            ("max_concurrency", 1),
            ("cache_tokens", 16),
            ("prefill_tokens", 16),
            ("threads", 1),
            ("tensor_parallel_size", 1),
            ("max_retries", 0),
        ):
            value = getattr(self, option)
            if value is not None and value < least:
                raise ConfigError(f"backend.{option}={value}: must be at least {least}")
        if not 0 < self.gpu_memory_utilization <= 1:
            raise ConfigError(
                f"backend.gpu_memory_utilization={self.gpu_memory_utilization}: must be above 0 and at most 1"
            )
        if self.cache_gib is not None and self.cache_gib <= 0:
            raise ConfigError(f"backend.cache_gib={self.cache_gib}: must be above 0")
        if self.timeout <= 0:
            raise ConfigError(f"backend.timeout={self.timeout}: must be above 0 seconds")
        urls = self.base_url if isinstance(self.base_url, list) else [self.base_url]
        if not urls:
            raise ConfigError("backend.base_url=[]: name at least one server, or leave it null")
        for url in urls:
            _check_url("backend.base_url", url)
        _check_variable("backend.api_key_env", self.api_key_env)


def constrains(model: ModelSettings, backend: BackendSettings) -> bool:
    """Whether this model on this back end keeps to `Sampling.choices`."""
    return backend.choices != "parsed" if backend.name == "openai" else model.kind == "local"


@dataclass
class CacheSettings:
    """The call cache: replies on disk, found again by prompt, model, sampling and seed."""

    name: Literal["off", "read", "write"] = "off"
    """off; read: look calls up, keep nothing new; write: look up, and keep what is new."""
    directory: Path | None = None
    """Where it lies, on a disk of this machine; null: `calls` under paths.output."""


@dataclass
class RunBudgetSettings:
    """Limits of a whole run (a cell), over all its episodes and commands; null = none. Checked before every call: what
    is in flight then still comes in. Calls answered by the call cache cost nothing."""

    max_cost: float | None = None
    """in the currency of the prices"""
    max_tokens: int | None = None
    """prompt and reply tokens"""
    max_calls: int | None = None
    """calls that a model answered"""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not value > 0:
                raise ConfigError(f"run_budget.{name}={value}: must be above 0")


def _check_url(option: str, url: str | None) -> None:
    if url is None:
        return
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{option}={url.rpartition('@')[2]}: must be an address like http://localhost:8000/v1")
    if parts.username or parts.password:
        raise ConfigError(f"{option}: must not hold a user or password; put the key into an environment variable")


def _check_variable(option: str, name: str | None) -> None:
    """A key given in place of the variable's name is not repeated."""
    if name is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ConfigError(f"{option}: must be the name of an environment variable, not the key itself")
