"""Models behind a server with OpenAI's chat completions interface: OpenAI, Anthropic, vLLM, FastChat …"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from typing import Any

import httpx2
import openai

from agentx.conversation import Message
from agentx.errors import ConfigError, UserError
from agentx.models.chat import BackendError, Completion, ContextOverflow, Request, Sampling
from agentx.models.settings import BackendSettings, ModelSettings

CHARACTERS_PER_TOKEN = 3.0
"""For estimates; English prose has about four, action lists about three."""
_CONTEXT_ERROR = re.compile(r"context.length|maximum context|context window|prompt is too long|too many tokens", re.I)
_PROMPT_SIZE = re.compile(
    r"(\d+) (?:tokens )?in the (?:messages|prompt|input)|(\d+) input tokens|resulted in (\d+) tokens"
)


class OpenAIModel:
    """A ChatModel over the network. The client library retries 408, 409, 429, 5xx, timeouts and cut connections with
    growing, jittered pauses and heeds Retry-After; what still fails is a BackendError.

    Raises UserError when the key is missing and ConfigError when the address or the context length is.
    """

    def __init__(self, model: ModelSettings, backend: BackendSettings) -> None:
        is_backend = backend.name == "openai"
        base_url = (backend.base_url if is_backend else None) or model.base_url
        if model.kind == "local" and base_url is None:
            raise ConfigError(f"backend.base_url: needs the address of the server that serves {model.name}")
        if model.context_length is None:
            raise ConfigError(f"model.context_length: needs a value, since no weights of {model.name} are read here")
        key_env = (backend.api_key_env if is_backend else None) or (model.api_key_env if model.kind == "api" else None)
        self._key = _read_key(model, key_env)
        self._key_env = key_env
        self.name = model.name
        self.context_length = model.context_length
        self._served_name = model.served_name
        self._system_prompt = model.system_prompt if model.kind == "local" else ""
        timeout = httpx2.Timeout(backend.timeout, pool=None)
        limits = httpx2.Limits(
            max_connections=backend.max_concurrency, max_keepalive_connections=backend.max_concurrency
        )
        self._client = openai.AsyncOpenAI(
            api_key=self._key,
            base_url=base_url,
            timeout=timeout,
            max_retries=backend.max_retries,
            http_client=openai.DefaultAsyncHttpxClient(limits=limits, timeout=timeout),
        )

    async def generate(self, messages: Sequence[Message], sampling: Sampling, request: Request) -> Completion:
        started = time.perf_counter()
        body = self._body(messages, sampling, request)
        try:
            try:
                response = await self._client.chat.completions.create(**body)
            except openai.BadRequestError as error:
                room = self._room(error)
                if room is None:
                    raise
                if room < 1 or room >= sampling.max_tokens:
                    raise ContextOverflow(f"{self.name} at its server: {self._scrub(error)}") from None
                response = await self._client.chat.completions.create(**{**body, "max_tokens": room})
            return self._read(response, messages, time.perf_counter() - started)
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            where = (
                f"the key in {self._key_env}" if self._key_env else "a request without a key (set backend.api_key_env)"
            )
            raise UserError(f"{self.name}: the server refuses {where} (status {error.status_code})") from None
        except openai.NotFoundError as error:
            raise UserError(
                f"{self.name}: the server at {self._client.base_url} knows no model {self._served_name!r} or has no "
                f"chat completions there (status {error.status_code}); set model.api_name or the address"
            ) from None
        except openai.OpenAIError as error:
            raise BackendError(f"{self.name} at its server: {self._scrub(error)}") from None
        except (ValueError, TypeError, AttributeError, LookupError, httpx2.HTTPError) as error:
            raise BackendError(f"{self.name}: unreadable answer of the server: {self._scrub(error)}") from None

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """An estimate on the high side: the server's tokenizer is not at hand."""
        return sum(8 + int(len(message.content) / CHARACTERS_PER_TOKEN) for message in messages)

    async def close(self) -> None:
        await self._client.close()

    def _body(self, messages: Sequence[Message], sampling: Sampling, request: Request) -> dict[str, Any]:
        records = [{"role": message.role, "content": message.content} for message in messages]
        if self._system_prompt and (not messages or messages[0].role != "system"):
            records.insert(0, {"role": "system", "content": self._system_prompt})
        body: dict[str, Any] = {
            "model": self._served_name,
            "messages": records,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": request.seed,
        }
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        return body

    def _read(self, response: Any, messages: Sequence[Message], seconds: float) -> Completion:
        """Raises ValueError and the like for answers without a reply."""
        if not response.choices:
            raise ValueError("no choices in it")
        choice = response.choices[0]
        text = choice.message.content or ""
        usage = response.usage
        details = getattr(usage, "prompt_tokens_details", None)
        return Completion(
            text=text,
            prompt_tokens=_count(usage, "prompt_tokens", self.count_tokens(messages)),
            completion_tokens=_count(usage, "completion_tokens", int(len(text) / CHARACTERS_PER_TOKEN) + 1),
            cached_tokens=_count(details, "cached_tokens", 0),
            finish_reason=choice.finish_reason or "stop",
            seconds=seconds,
        )

    def _room(self, error: openai.BadRequestError) -> int | None:
        """Tokens left for a reply where the server says that prompt and reply do not fit; None for other errors."""
        message = str(error)
        if error.code != "context_length_exceeded" and not _CONTEXT_ERROR.search(message):
            return None
        found = _PROMPT_SIZE.search(message)
        limit = re.search(r"(?:context length|maximum).{0,20}? (\d+) tokens", message)
        if found is None:
            return 0
        length = int(limit.group(1)) if limit else self.context_length
        return length - int(next(group for group in found.groups() if group))

    def _scrub(self, error: Exception) -> str:
        text = " ".join(str(error).split()) or type(error).__name__
        return (text.replace(self._key, "***") if self._key_env else text)[:300]


def _read_key(model: ModelSettings, key_env: str | None) -> str:
    if key_env is None:
        return "none"
    key = os.environ.get(key_env, "").strip()
    if not key:
        raise UserError(f"model={model.name}: needs an API key in the environment variable {key_env}, which is not set")
    return key


def _count(usage: Any, field: str, otherwise: int) -> int:
    value = getattr(usage, field, None)
    return value if isinstance(value, int) and value >= 0 else otherwise
