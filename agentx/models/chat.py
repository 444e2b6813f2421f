"""What every model back end offers: `ChatModel`, and the values that go in and out of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

from agentx.conversation import Message
from agentx.trajectory import Purpose


class ContextOverflow(Exception):
    """The prompt (plus one token) does not fit the model's context: ends the episode as context_limit."""


class BackendError(Exception):
    """The back end failed, not the agent: the episode is retried, then recorded as infrastructure_error."""


class BackendUnreachable(BackendError):
    """Nobody answers at any of the model's addresses: the run stops where further tries of an episode do not help."""


@dataclass(frozen=True)
class Sampling:
    """Decoding settings; temperature 0 is greedy."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    """generation ends before the first of these; it is not part of the text"""
    choices: tuple[str, ...] = ()
    """the only replies allowed, where the back end can see to it (`settings.constrains`); elsewhere they do
    nothing and the reply has to be parsed"""


@dataclass(frozen=True)
class Request:
    """Where in an episode a call belongs. Its seed depends on nothing else, so that scheduling and
    concurrency cannot change what is asked."""

    run_seed: int = 0
    sample: str = ""
    trial: int = 0
    path: int = 0
    step: int = 0
    branch: int = 0
    role: str = "policy"
    purpose: Purpose = Purpose.ACT

    @cached_property
    def seed(self) -> int:
        """31 bits, the range every back end accepts."""
        fields = (self.run_seed, self.sample, self.trial, self.path, self.step, self.branch, self.role, self.purpose)
        digest = hashlib.blake2b("\x1f".join(map(str, fields)).encode(), digest_size=4).digest()
        return int.from_bytes(digest, "big") >> 1


@dataclass(frozen=True)
class Completion:
    """One reply. `finish_reason` is stop, length or another word of the back end."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    """of the prompt, found in the back end's own cache of keys and values"""
    finish_reason: str = "stop"
    seconds: float = 0.0
    estimated: bool = False
    """the token counts are guesses: the server gave none, or impossible ones"""
    from_cache: bool = False
    """the whole reply came from the call cache: no model was asked"""


@runtime_checkable
class ChatModel(Protocol):
    """A model that continues conversations. Batching, retries and caches live behind it."""

    name: str
    context_length: int

    async def generate(self, messages: Sequence[Message], sampling: Sampling, request: Request) -> Completion:
        """The reply to `messages` (the last is the user's).

        Raises ContextOverflow when the prompt leaves no room for a token and BackendError when no answer
        can be had. Cancelling the call frees whatever it holds.
        """
        ...

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Length of the rendered prompt in tokens, the generation prompt included."""
        ...

    async def close(self) -> None: ...


def room_for_reply(model: ChatModel, prompt_tokens: int, least: int = 1) -> int:
    """Tokens that the prompt leaves for a reply. Raises ContextOverflow where they are fewer than `least`."""
    room = model.context_length - prompt_tokens
    if room < least:
        raise ContextOverflow(f"the prompt takes {prompt_tokens} of {model.name}'s {model.context_length} tokens")
    return room


@dataclass
class Roles:
    """The models of one experiment; by default all the same one."""

    policy: ChatModel
    planner: ChatModel
    judge: ChatModel
    by_name: dict[str, ChatModel] = field(init=False)

    def __post_init__(self) -> None:
        self.by_name = {"policy": self.policy, "planner": self.planner, "judge": self.judge}

    @classmethod
    def all_one(cls, model: ChatModel) -> Roles:
        return cls(model, model, model)
