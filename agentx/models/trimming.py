"""Conversations that have grown too long, shortened by AgentBench's rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agentx.conversation import Message
from agentx.models.chat import ContextOverflow


def trim(messages: Sequence[Message], max_tokens: int, count: Callable[[Sequence[Message]], int]) -> list[Message]:
    """The conversation within `max_tokens` of prompt as `count` counts them: the first message (after a system
    message) and the newest are kept, the oldest turns between them go, and a notice in the first says how many
    messages are missing. Whole exchanges (a reply and what answered it) go, so that roles still alternate.

    Raises ContextOverflow when even the first and the newest message do not fit.
    """
    messages = list(messages)
    if count(messages) <= max_tokens:
        return messages
    first = 1 if messages[0].role == "system" else 0
    low, high = 1, (len(messages) - first - 1) // 2
    if high < low or count(_without(messages, first, high)) > max_tokens:
        raise ContextOverflow(f"the first and the newest message alone exceed {max_tokens} tokens")
    while low < high:
        middle = (low + high) // 2
        if count(_without(messages, first, middle)) <= max_tokens:
            high = middle
        else:
            low = middle + 1
    return _without(messages, first, low)


def _without(messages: list[Message], first: int, exchanges: int) -> list[Message]:
    """`messages` less the oldest `exchanges` after the first message, with a notice in it."""
    omitted = 2 * exchanges
    opening, rest = messages[first], messages[first + 1 + omitted :]
    notice = f"({omitted} earlier messages are left out here.)"
    if not rest:
        newest = messages[-1]
        merged = Message(
            "user", f"{opening.content}\n\n({omitted - 1} earlier messages are left out here.)\n\n{newest.content}"
        )
        return [*messages[:first], merged]
    return [*messages[:first], Message(opening.role, f"{opening.content}\n\n{notice}"), *rest]
