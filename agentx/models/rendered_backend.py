"""Models behind vLLM's server that are sent tokens of our own renderer instead of messages."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import openai

from agentx.conversation import Message
from agentx.models.chat import Completion, Request, Sampling, room_for_reply
from agentx.models.endpoints import UnreadableAnswer
from agentx.models.openai_backend import UNREADABLE, OpenAIModel
from agentx.models.rendering import Renderer
from agentx.models.sampling import cut_at_stop
from agentx.models.settings import BackendSettings, ModelSettings
from agentx.models.structured import choice_fields


class RenderedModel(OpenAIModel):
    """A ChatModel over a server's completions interface with token ids, as vLLM has it. The prompt is the same as in
    this process, and an over-long one overflows before it is sent. `model.context_length` must be given."""

    def __init__(
        self, model: ModelSettings, backend: BackendSettings, renderer: Renderer, end_token_ids: frozenset[int]
    ) -> None:
        super().__init__(model, backend)
        self.renderer = renderer
        self._ends = sorted(renderer.end_token_ids | end_token_ids)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return self.renderer.count_tokens(messages)

    async def _ask(
        self, messages: Sequence[Message], sampling: Sampling, request: Request, max_tokens: int, started: float
    ) -> Completion:
        prompt = self.renderer.prompt(messages)
        room = room_for_reply(self, len(prompt))
        body = self._completion_body(prompt, sampling, request, min(max_tokens, room))

        async def send(client: openai.AsyncOpenAI) -> Completion:
            try:
                response = await client.completions.create(**body)
                return self._read_tokens(response, prompt, sampling, time.perf_counter() - started)
            except UNREADABLE as error:
                raise UnreadableAnswer(self._scrub(error)) from None

        return await self.endpoints.call(send)

    def _completion_body(
        self, prompt: list[int], sampling: Sampling, request: Request, max_tokens: int
    ) -> dict[str, Any]:
        extra: dict[str, Any] = {"stop_token_ids": self._ends, "return_token_ids": True}
        if sampling.choices:
            blank = self.renderer.begins_with_blank(sampling.choices[0])
            written = [f" {choice}" if blank else choice for choice in sampling.choices]
            extra |= choice_fields(self._choices, written).get("extra_body", {})
        body: dict[str, Any] = {
            "model": self._served_name,
            "prompt": prompt,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": max_tokens,
            "seed": request.seed,
            "extra_body": extra,
        }
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        return body

    def _read_tokens(self, response: Any, prompt: list[int], sampling: Sampling, seconds: float) -> Completion:
        """Raises ValueError and the like for answers without a reply."""
        choice = response.choices[0]
        ids = choice.token_ids
        if not isinstance(ids, list) or not all(isinstance(token, int) for token in ids):
            raise ValueError("no token ids in it: backend.render=local needs vLLM's server, 0.10.2 or newer")
        cut = cut_at_stop(ids, sampling.stop, self.renderer.decode) if sampling.stop else None
        text = self.renderer.decode(ids) if cut is None else cut
        details = getattr(response.usage, "prompt_tokens_details", None)
        return Completion(
            text=text.strip() if sampling.choices else text,
            prompt_tokens=len(prompt),
            completion_tokens=len(ids),
            cached_tokens=getattr(details, "cached_tokens", None) or 0,
            finish_reason=str(choice.finish_reason or "stop"),
            seconds=seconds,
        )
