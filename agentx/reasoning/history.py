"""The policy's dialogue along one path, built so that every request extends the one before it."""

from __future__ import annotations

from collections.abc import Sequence

from agentx.conversation import Message
from agentx.tasks.environment import Observation


class History:
    """Opening, first observation, then replies and observations in turn.

    What is announced (a subtask, the backtracking prompt) goes into the newest user message and stays there, so that
    the prompt's prefix can be reused; an observation's transient part stands last in that message and leaves it when
    the reply comes.
    """

    def __init__(self, opening: Sequence[Message], observation: Observation) -> None:
        self._settled = list(opening)
        self._newest = observation.text
        self._transient = observation.transient
        if self._settled and self._settled[-1].role == "user":
            self._newest = f"{self._settled.pop().content}\n{observation.text}"

    def copy(self) -> History:
        twin = History((), Observation(self._newest, self._transient))
        twin._settled = list(self._settled)
        return twin

    @property
    def messages(self) -> tuple[Message, ...]:
        """What the policy is sent now; the last message is the user's."""
        newest = f"{self._newest}\n{self._transient}" if self._transient else self._newest
        return (*self._settled, Message("user", newest))

    def announce(self, text: str) -> None:
        self._newest = f"{self._newest}\n{text}"

    def proceed(self, reply: str, observation: Observation) -> None:
        """The policy said `reply` and the environment answered."""
        self._settled += [Message("user", self._newest), Message("assistant", reply)]
        self._newest = observation.text
        self._transient = observation.transient
