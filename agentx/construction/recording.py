"""Training conversations from what was really asked and answered.

An expert plays an environment through the same methods that evaluation uses; a `RecordingModel` between the two
keeps every prompt with its reply. What tuning sees is therefore byte for byte what evaluation will send.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentx.conversation import Conversation, Message
from agentx.models.chat import ChatModel, Completion, Request, Sampling
from agentx.trajectory import Purpose


@dataclass(frozen=True)
class Exchange:
    """One call: the prompt, the reply, where in the episode it was, and whether the reply is worth imitating."""

    messages: tuple[Message, ...]
    reply: str
    request: Request
    trained: bool = True


class RecordingModel:
    """A ChatModel that passes calls on to `model` and keeps them, in the order of their answers."""

    def __init__(self, model: ChatModel) -> None:
        self.model = model
        self.name = model.name
        self.context_length = model.context_length
        self.exchanges: list[Exchange] = []

    async def generate(self, messages: Sequence[Message], sampling: Sampling, request: Request) -> Completion:
        completion = await self.model.generate(messages, sampling, request)
        self.exchanges.append(Exchange(tuple(messages), completion.text, request))
        return completion

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return self.model.count_tokens(messages)

    async def close(self) -> None:
        await self.model.close()


def conversations(exchanges: Sequence[Exchange], source: str, id: str) -> list[Conversation]:
    """Join exchanges into as few conversations as possible, each reply trained exactly once.

    An exchange whose prompt continues an earlier conversation (that conversation's messages are a prefix of the
    prompt) extends it; a prompt that changes the past (chain of thought drops its reasoning from the history,
    admissible commands leave with the next observation) starts one of its own. Conversations in which nothing is
    trained are left out.
    """
    threads: list[list[Message]] = []
    purposes: list[set[Purpose]] = []
    for exchange in exchanges:
        reply = Message("assistant", exchange.reply, trained=exchange.trained)
        for index, thread in enumerate(threads):
            if _continues(exchange.messages, thread):
                threads[index] = [*thread, *exchange.messages[len(thread) :], reply]
                purposes[index].add(exchange.request.purpose)
                break
        else:
            prompt = [replace(message, trained=False) for message in exchange.messages]
            threads.append([*prompt, reply])
            purposes.append({exchange.request.purpose})
    return [
        Conversation(tuple(thread), source, f"{id}#{index}", {"purpose": sorted(purposes[index])})
        for index, thread in enumerate(threads)
        if any(message.trained for message in thread)
    ]


def _continues(prompt: Sequence[Message], thread: Sequence[Message]) -> bool:
    if len(prompt) <= len(thread):
        return False
    return all(a.role == b.role and a.content == b.content for a, b in zip(prompt, thread, strict=False))
