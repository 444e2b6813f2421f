"""Models that run in this process through transformers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from agentx.conversation import Message
from agentx.models.chat import Completion, Request, Sampling, room_for_reply
from agentx.models.engine import Engine
from agentx.models.rendering import Renderer


class TransformersModel:
    """A ChatModel over an `Engine`. Calls may come from several event loops."""

    def __init__(self, name: str, renderer: Renderer, engine: Engine, context_length: int) -> None:
        self.name = name
        self.renderer = renderer
        self.engine = engine
        self.context_length = context_length

    async def generate(self, messages: Sequence[Message], sampling: Sampling, request: Request) -> Completion:
        prompt = self.renderer.prompt(messages)
        choices = self.renderer.choices(sampling.choices) if sampling.choices else None
        room = room_for_reply(self, len(prompt), choices.longest if choices else 1)
        limit = choices.longest if choices else min(sampling.max_tokens, room)
        future = self.engine.submit(prompt, sampling, request.seed, limit, choices)
        return await asyncio.wrap_future(future)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return self.renderer.count_tokens(messages)

    async def close(self) -> None:
        await asyncio.to_thread(self.engine.close)


def default_cache_tokens(bytes_per_token: int, device: Any, context_length: int) -> int:
    """How many tokens to hold: four fifths of a GPU's free memory, or 2 GiB and at most a quarter of what is free
    on a CPU; one whole context at least."""
    import torch

    if device.type == "cuda":
        room = torch.cuda.mem_get_info(device)[0] * 4 // 5
    else:
        import psutil

        room = min(2 << 30, psutil.virtual_memory().available // 4)
    return max(room // bytes_per_token, context_length + 128)
