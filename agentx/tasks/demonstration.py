"""What a task with a scripted expert offers, so that training data can be made from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agentx.conversation import Message
from agentx.models.chat import ChatModel, Completion, Request, Sampling
from agentx.tasks.environment import Environment


class ScriptedModel:
    """A ChatModel that needs no model: what a task's expert says to each request. Token counts are words.

    `strayed` takes the (path, step, branch) of replies that are deliberately bad; see `Demonstration`.
    """

    context_length = 1 << 20

    def __init__(self, name: str) -> None:
        self.name = name
        self.strayed: set[tuple[int, int, int]] = set()

    def reply(self, messages: Sequence[Message], request: Request) -> str:
        """The answer the request's purpose asks for, in the methods' formats."""
        raise NotImplementedError

    async def generate(self, messages: Sequence[Message], sampling: Sampling, request: Request) -> Completion:
        text = self.reply(messages, request)
        return Completion(text, self.count_tokens(messages), len(text.split()))

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    async def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True)
class Demonstration:
    """One episode to be played by an expert. `strayed` fills while it plays: the (path, step, branch) of replies
    that are deliberately bad and must not be imitated. `kind` is the task's own type. `background` is what someone
    who has to imagine the environment's answers must know of it; it is never shown to an agent."""

    id: str
    environment: Environment
    expert: ChatModel
    opening: Sequence[Message]
    strayed: set[tuple[int, int, int]] = field(default_factory=set)
    kind: str = ""
    background: str = ""


class Demonstrate(Protocol):
    """A task's source of demonstrations, from its training split only. Beside it the module has
    `relevant_settings(settings)`: those of the task's settings that a demonstration depends on, as plain values; and
    where not every method can play the task, `METHODS`: the names of those that can.

    `weak_paths` asks for an expert that plays its first so many paths badly, so that backtracking has something to
    come back from; `contested` is the share of steps at which its first candidate is the bad one, so that a judge has
    something to decide.
    """

    def __call__(
        self, settings: Any, *, index: int, seed: int, style: str, shots: int, weak_paths: int, contested: float
    ) -> Demonstration: ...
