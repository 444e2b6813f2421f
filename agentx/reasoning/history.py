"""The policy's dialogue along one path, built so that every request extends the one before it."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from agentx.conversation import Message
from agentx.tasks.environment import Observation


class History:
    """Opening, first observation, then replies and observations in turn.

    What is announced (a subtask, the backtracking prompt) goes into the newest user message and stays there, so that
    the prompt's prefix can be reused; an observation's transient part stands last in that message and leaves it when
    the reply comes. An observation that is `fresh` takes the first one's place: of what was before, the opening and
    the announcements are left.
    """

    def __init__(self, opening: Sequence[Message], observation: Observation) -> None:
        merged = bool(opening) and opening[-1].role == "user"
        self._opening = tuple(opening[:-1] if merged else opening)
        self._preface = f"{opening[-1].content}\n" if merged else ""
        self._announced: list[str] = []
        self._begin(observation)

    def _begin(self, observation: Observation) -> None:
        self._settled = list(self._opening)
        self._newest = "\n".join([f"{self._preface}{observation.text}", *self._announced])
        self._transient = observation.transient

    def copy(self) -> History:
        twin = copy.copy(self)
        twin._settled, twin._announced = list(self._settled), list(self._announced)
        return twin

    @property
    def messages(self) -> tuple[Message, ...]:
        """What the policy is sent now; the last message is the user's."""
        newest = f"{self._newest}\n{self._transient}" if self._transient else self._newest
        return (*self._settled, Message("user", newest))

    def announce(self, text: str) -> None:
        self._announced.append(text)
        self._newest = f"{self._newest}\n{text}"

    def proceed(self, reply: str, observation: Observation) -> None:
        """The policy said `reply` and the environment answered."""
        if observation.fresh:
            self._begin(observation)
            return
        self._settled += [Message("user", self._newest), Message("assistant", reply)]
        self._newest = observation.text
        self._transient = observation.transient
