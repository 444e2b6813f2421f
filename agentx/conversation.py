"""Conversations: the one type shared by training data, prompts and logs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant")


@dataclass(frozen=True)
class Message:
    """One turn. `trained` marks an assistant turn whose tokens enter the tuning loss."""

    role: Role
    content: str
    trained: bool = False

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"message role {self.role!r} is not one of {', '.join(ROLES)}")
        if self.trained and self.role != "assistant":
            raise ValueError(f"a {self.role} message cannot be trained; only assistant messages can")

    def to_dict(self) -> dict[str, Any]:
        record: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.trained:
            record["trained"] = True
        return record

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Message:
        return cls(record["role"], record["content"], bool(record.get("trained", False)))


@dataclass(frozen=True)
class Conversation:
    """A dialogue with where it came from; `id` is unique within `source`."""

    messages: tuple[Message, ...]
    source: str = ""
    id: str = ""
    metadata: dict[str, Any] = field(default_factory=dict, compare=False)

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "source": self.source,
            "messages": [message.to_dict() for message in self.messages],
            **({"metadata": self.metadata} if self.metadata else {}),
        }

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Conversation:
        return cls(
            tuple(Message.from_dict(message) for message in record["messages"]),
            record.get("source", ""),
            record.get("id", ""),
            record.get("metadata", {}),
        )
