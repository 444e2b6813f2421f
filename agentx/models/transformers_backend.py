"""Models that run in this process through transformers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from agentx.conversation import Message
from agentx.models.chat import Completion, ContextOverflow, Request, Sampling
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
        room = self.context_length - len(prompt)
        if room < 1:
            raise ContextOverflow(f"the prompt takes {len(prompt)} of {self.name}'s {self.context_length} tokens")
        future = self.engine.submit(prompt, sampling, request.seed, min(sampling.max_tokens, room))
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
