"""Models behind servers with OpenAI's chat completions interface: OpenAI, Anthropic, vLLM, FastChat …"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from typing import Any

import openai

from agentx.conversation import Message
from agentx.errors import ConfigError, UserError
from agentx.models.addresses import key_variable, read_key, server_urls, shown
from agentx.models.chat import BackendError, BackendUnreachable, Completion, ContextOverflow, Request, Sampling
from agentx.models.endpoints import Endpoints, UnreadableAnswer, out_of_credit, unreachable
from agentx.models.settings import BackendSettings, ModelSettings
from agentx.models.structured import LONGEST_ANSWER, choice_fields, read_choice

log = logging.getLogger(__name__)

CHARACTERS_PER_TOKEN = 3.0
"""For estimates; English prose has about four, action lists about three."""
HIDDEN_PROMPT_TOKENS = 1000
"""What a server may add to a prompt (template, system prompt of its own); a count beyond that is not believed."""
SECRET_LENGTH = 12
"""characters from which on a key is taken for a secret"""
UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, RecursionError, openai.APIResponseValidationError)
_CONTEXT_ERROR = re.compile(r"context.length|maximum context|context window|prompt is too long|too many tokens", re.I)
_PROMPT_SIZE = re.compile(
    r"(\d+) (?:tokens )?in the (?:messages|prompt|input)|(\d+) input tokens|resulted in (\d+) tokens"
)
_UNSUPPORTED = re.compile(r"unsupported|not supported|does not support|cannot both be|not permitted|unrecognized", re.I)


class OpenAIModel:
    """A ChatModel over the network. What may pass (408, 409, 429, 5xx, timeouts, cut connections, broken bodies) is
    tried again by `Endpoints`; what still fails is a BackendError, BackendUnreachable where nobody answers.

    Raises UserError when the key is missing and ConfigError when the address or the context length is.
    """

    def __init__(self, model: ModelSettings, backend: BackendSettings) -> None:
        urls = server_urls(model, backend)
        if model.context_length is None:
            raise ConfigError(f"model.context_length: needs a value, since no weights of {model.name} are read here")
        self._key = read_key(model, backend)
        self._key_variable = key_variable(model, backend)
        self.name = model.name
        self.context_length = model.context_length
        self._served_name = model.served_name
        self._system_prompt = model.system_prompt if model.kind == "local" else ""
        self._omitted: set[str] = set(model.omit)
        self._length_field = "max_tokens"
        self._choices = backend.choices if backend.name == "openai" else "parsed"
        self.endpoints = Endpoints(urls, self._key, backend.max_concurrency, backend.timeout, backend.max_retries)

    async def generate(self, messages: Sequence[Message], sampling: Sampling, request: Request) -> Completion:
        started = time.perf_counter()
        try:
            try:
                return await self._ask(messages, sampling, request, sampling.max_tokens, started)
            except openai.BadRequestError as error:
                room = self._room(error)
                if room is None:
                    if not self._adapt(error):
                        raise
                    room = sampling.max_tokens
                elif room < 1 or room >= sampling.max_tokens:
                    raise ContextOverflow(f"{self.name} at its server: {self._scrub(error)}") from None
            return await self._ask(messages, sampling, request, room, started)
        except Exception as error:
            known = self._explain(error)
            if known is None:
                raise
            # Not chained: the client's errors hold requests and answers, in which the key may be.
            raise known from None

    async def _ask(
        self, messages: Sequence[Message], sampling: Sampling, request: Request, max_tokens: int, started: float
    ) -> Completion:
        body = self._body(messages, sampling, request, max_tokens)

        async def send(client: openai.AsyncOpenAI) -> Completion:
            try:
                response = await client.chat.completions.create(**body)
                return self._read(response, messages, max_tokens, time.perf_counter() - started)
            except UNREADABLE as error:
                raise UnreadableAnswer(self._scrub(error)) from None

        return await self.endpoints.call(send)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """An estimate on the high side: the server's tokenizer is not at hand."""
        return sum(8 + int(len(message.content) / CHARACTERS_PER_TOKEN) for message in messages)

    async def close(self) -> None:
        await self.endpoints.close()

    def _body(
        self, messages: Sequence[Message], sampling: Sampling, request: Request, max_tokens: int
    ) -> dict[str, Any]:
        records = [{"role": message.role, "content": message.content} for message in messages]
        if self._system_prompt and (not messages or messages[0].role != "system"):
            records.insert(0, {"role": "system", "content": self._system_prompt})
        body: dict[str, Any] = {
            "model": self._served_name,
            "messages": records,
            "temperature": sampling.temperature,
            self._length_field: max_tokens,
            "seed": request.seed,
        }
        if sampling.top_p < 1:  # where it changes nothing it is left out: some models refuse it beside a temperature
            body["top_p"] = sampling.top_p
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if sampling.choices:
            body[self._length_field] = max(max_tokens, LONGEST_ANSWER) if self._choices == "json_schema" else max_tokens
            body |= choice_fields(self._choices, sampling.choices)
        return {name: value for name, value in body.items() if name not in self._omitted}

    def _without_key(self, text: str) -> str:
        """Placeholders that local servers take for a key ("EMPTY", "x") are no secrets but may well be words."""
        return text.replace(self._key, "***") if self._key and len(self._key) >= SECRET_LENGTH else text

    def _read(self, response: Any, messages: Sequence[Message], max_tokens: int, seconds: float) -> Completion:
        """Raises ValueError and the like for answers without a reply."""
        if not response.choices:
            raise ValueError("no choices in it")
        choice = response.choices[0]
        text = choice.message.content or ""
        if not isinstance(text, str):
            raise TypeError("its text is none")
        text = self._without_key(text)
        text = read_choice(text) if self._choices == "json_schema" else text
        usage = response.usage
        most = sum(len(message.content.encode(errors="replace")) + 16 for message in messages) + HIDDEN_PROMPT_TOKENS
        prompt = _count(usage, "prompt_tokens", 1, most)
        completion = _count(usage, "completion_tokens", 1 if text else 0, max_tokens)
        cached = _count(getattr(usage, "prompt_tokens_details", None), "cached_tokens", 0, prompt or 0)
        return Completion(
            text=text,
            prompt_tokens=self.count_tokens(messages) if prompt is None else prompt,
            completion_tokens=int(len(text) / CHARACTERS_PER_TOKEN) + 1 if completion is None else completion,
            cached_tokens=cached or 0,
            finish_reason=str(choice.finish_reason or "stop"),
            seconds=seconds,
            estimated=prompt is None or completion is None,
        )

    def _room(self, error: openai.BadRequestError) -> int | None:
        """Tokens left for a reply where the server says that prompt and reply do not fit; None for other errors."""
        message = str(error)
        if error.code not in ("context_length_exceeded", "40303") and not _CONTEXT_ERROR.search(message):
            return None
        found = _PROMPT_SIZE.search(message)
        limit = re.search(r"(?:context length|maximum).{0,20}? (\d+) tokens", message)
        if found is None:
            return 0
        length = int(limit.group(1)) if limit else self.context_length
        return length - int(next(group for group in found.groups() if group))

    def _adapt(self, error: openai.BadRequestError) -> bool:
        """Whether the request can be put otherwise without asking for another reply: newer OpenAI models know the
        longest reply by another name, and a seed that a server refuses was without effect there anyway.

        Raises UserError for what only the user can decide to leave out.
        """
        message = str(error)
        if not _UNSUPPORTED.search(message):
            return False
        if self._length_field == "max_tokens" and "max_completion_tokens" in message:
            self._length_field = "max_completion_tokens"
            return True
        refused = next((name for name in ("temperature", "top_p", "stop", "seed") if name in message), None)
        if refused is None or refused in self._omitted:
            return False
        if refused == "seed":
            log.warning("%s: its server takes no seed; sampled replies will not repeat", self.name)
            self._omitted.add(refused)
            return True
        raise UserError(
            f"{self.name}: its server refuses {refused} ({self._scrub(error)}); model.omit=[{refused}] (or "
            "planner.omit, judge.omit) leaves it to the server"
        ) from None

    def _explain(self, error: Exception) -> Exception | None:
        """The error as the engine (BackendError) or the user (UserError) takes it; None where it is neither's."""
        key = f"the key in {self._key_variable}" if self._key else "a request without a key (set backend.api_key_env)"
        where = ", ".join(shown(member.url) for member in self.endpoints.members)
        if isinstance(error, openai.AuthenticationError):
            return UserError(
                f"{self.name}: the server refuses {key} (status {error.status_code}); give one that is valid at {where}"
            )
        if isinstance(error, openai.PermissionDeniedError):
            return UserError(
                f"{self.name}: the server does not let {key} use {self._served_name!r} (status {error.status_code}); "
                f"ask for access at {where} or choose another model"
            )
        if isinstance(error, openai.NotFoundError):
            return UserError(
                f"{self.name}: the server at {where} knows no model {self._served_name!r} or has no chat completions "
                f"there (status {error.status_code}); set model.api_name or the address"
            )
        if out_of_credit(error):
            return UserError(
                f"{self.name}: the account behind {key} has no credit left at {where}; add some and run the same "
                "command again, finished episodes are kept"
            )
        if unreachable(error):
            return BackendUnreachable(
                f"{self.name}: nobody answers at {where}; start the server or mend backend.base_url"
            )
        if isinstance(error, UnreadableAnswer):
            return BackendError(f"{self.name}: unreadable answer of the server: {self._scrub(error)}")
        if isinstance(error, TimeoutError | openai.APITimeoutError):
            return BackendError(f"{self.name}: no answer within backend.timeout seconds")
        if isinstance(error, openai.OpenAIError):
            return BackendError(f"{self.name} at its server: {self._scrub(error)}")
        return None

    def _scrub(self, error: Exception) -> str:
        text = " ".join(str(error).split()) or type(error).__name__
        return self._without_key(text)[:300]


def _count(usage: Any, field: str, least: int, most: int) -> int | None:
    """A count the server gives, where it is possible."""
    value = getattr(usage, field, None)
    return value if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most else None
