"""Conversations to examples: tokens with the part to train, over-long conversations split at turns or dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from agentx.conversation import Conversation, Message
from agentx.errors import UserError


class Rendered(Protocol):
    ids: list[int]
    trained: list[bool]


class ConversationRenderer(Protocol):
    """What is needed of `agentx.models.rendering.Renderer`."""

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> Rendered: ...


@dataclass(frozen=True)
class Example:
    """A conversation, or a piece of one, as tokens. `trained[i]` says that ids[i] is to be predicted."""

    id: str
    ids: NDArray[np.int32]
    trained: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def trained_tokens(self) -> int:
        return int(self.trained.sum())


@dataclass(frozen=True)
class Fate:
    """What became of one conversation."""

    source: str
    tokens: int
    """of the whole conversation up to its last trained turn; 0 where the template refuses it"""
    trained: int
    """tokens that will be trained, over all pieces"""
    became: Literal["whole", "split", "dropped", "refused"]


@dataclass
class ExampleSet:
    """The examples of one set, and what became of its conversations."""

    examples: list[Example] = field(default_factory=list)
    conversations: int = 0
    split: int = 0
    """conversations that were cut into pieces at their turns"""
    dropped: int = 0
    """conversations left out because they are too long"""
    turns_dropped: int = 0
    """trained turns of split conversations that do not fit even alone after the task statement"""
    refused: list[str] = field(default_factory=list)
    """why conversations were left out that teach nothing or that the chat template refuses, with on_error="skip" """
    fates: list[Fate] = field(default_factory=list)
    """of every conversation, in order"""

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def trained_tokens(self) -> NDArray[np.int64]:
        """Of each example."""
        return np.array([example.trained_tokens for example in self.examples], np.int64)

    def counts(self) -> dict[str, int]:
        return {
            "conversations": self.conversations,
            "examples": len(self),
            "split": self.split,
            "dropped": self.dropped,
            "turns_dropped": self.turns_dropped,
            "refused": len(self.refused),
            "tokens": sum(len(example) for example in self.examples),
            "trained_tokens": int(self.trained_tokens.sum()),
        }


def make_examples(
    conversations: Sequence[Conversation],
    renderer: ConversationRenderer,
    max_length: int,
    overlong: Literal["split", "drop"] = "split",
    on_error: Literal["stop", "skip"] = "stop",
) -> ExampleSet:
    """Render all conversations; none is ever cut inside a turn.

    What follows the last trained turn is left out: it cannot change the loss of what is before it. Raises UserError
    naming the conversation in which nothing is trained, or that the chat template refuses; with on_error="skip" such
    a one is left out and told in `refused`.
    """
    made = ExampleSet()
    for conversation in conversations:
        made.conversations += 1
        name = f"{conversation.source}:{conversation.id}" if conversation.source else conversation.id
        try:
            fate = _add(made, name, conversation, renderer, max_length, overlong)
        except UserError as error:
            reason = f"conversation {name}: {error}"
            if on_error == "stop":
                raise UserError(reason) from error
            made.refused.append(reason)
            fate = Fate(conversation.source, 0, 0, "refused")
        made.fates.append(fate)
    return made


def _add(
    made: ExampleSet,
    name: str,
    conversation: Conversation,
    renderer: ConversationRenderer,
    max_length: int,
    overlong: Literal["split", "drop"],
) -> Fate:
    trained = [index for index, message in enumerate(conversation.messages) if message.trained]
    if not trained:
        raise UserError("has no trained turn, so it teaches nothing; leave it out")
    messages = conversation.messages[: trained[-1] + 1]
    whole = _example(name, messages, renderer)
    if len(whole) <= max_length:
        made.examples.append(whole)
        return Fate(conversation.source, len(whole), whole.trained_tokens, "whole")
    before = len(made.examples)
    if overlong == "split":
        _add_pieces(made, name, messages, trained[0], renderer, max_length)
    else:
        made.dropped += 1
    kept = made.examples[before:]
    tokens = sum(piece.trained_tokens for piece in kept)
    return Fate(conversation.source, len(whole), tokens, "split" if kept else "dropped")


def _example(name: str, messages: Sequence[Message], renderer: ConversationRenderer) -> Example:
    rendered = renderer.render(messages)
    trained = np.array(rendered.trained, np.bool_)
    trained[0] = False  # nothing comes before the first token that could predict it
    if not trained.any():
        raise UserError("none of its tokens is trained; leave it out")
    end = int(np.flatnonzero(trained)[-1]) + 1
    return Example(name, np.array(rendered.ids[:end], np.int32), trained[:end])


def _add_pieces(
    made: ExampleSet,
    name: str,
    messages: Sequence[Message],
    first: int,
    renderer: ConversationRenderer,
    max_length: int,
) -> None:
    """Cut before turns. Every piece begins with all that precedes the first trained turn (instruction, worked
    examples, task statement); a later piece goes on with the untrained last reply of the piece before, so that
    roles alternate and the observation that follows makes sense. Each trained turn is trained once."""
    head = list(messages[:first])
    starts = [index for index in range(first, len(messages)) if messages[index].role == "assistant"]
    ends = [index + 1 for index in starts]
    pieces: list[Example] = []
    lost = turn = 0
    while turn < len(starts):
        bridge: list[Message] = []
        if turn:
            bridge = [replace(messages[starts[turn - 1]], trained=False), *messages[ends[turn - 1] : starts[turn]]]
        best: Example | None = None
        low, high = turn, len(starts) - 1
        while low <= high:
            middle = (low + high) // 2
            candidate = [*head, *bridge, *messages[starts[turn] : ends[middle]]]
            length = len(renderer.render(candidate).ids)
            if length <= max_length:
                if any(message.trained for message in candidate):
                    best = _example(f"{name}/{len(pieces)}", candidate, renderer)
                low = middle + 1
            else:
                high = middle - 1
        reached = low
        if best is not None:
            pieces.append(best)
        if reached == turn:
            lost += messages[starts[turn]].trained
            reached += 1
        turn = reached
    if pieces:
        made.split += 1
        made.turns_dropped += lost
        made.examples.extend(pieces)
    else:
        made.dropped += 1
