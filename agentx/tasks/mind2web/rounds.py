"""The rounds of questions in which one candidate is left over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentx.tasks.mind2web.settings import Rules


@dataclass(frozen=True)
class Prediction:
    """The element acted on and what is done with it, e.g. ("161", "TYPE Bath"); both empty for none."""

    element: str = ""
    action: str = ""


NOTHING = Prediction()


@dataclass(frozen=True)
class Rounds:
    """Where the questioning stands: `batch` is asked about now (empty: it is over), `queue` waits behind it.

    The front of the queue is asked about; what is chosen goes to its end, what is not is out, until one candidate is
    left. Under the faithful rules that one may never have been asked about; under the corrected ones it is.
    """

    batch: tuple[str, ...]
    queue: tuple[str, ...]
    size: int
    rules: Rules
    pick: Prediction | None = None

    @classmethod
    def start(cls, candidates: Sequence[str], size: int, rules: Rules) -> Rounds:
        """`candidates` in the order in which they are asked about."""
        return cls((), tuple(candidates), size, rules)._next()

    def answer(self, element: str | None, action: str) -> Rounds:
        """`element` of the batch was chosen, to do `action`; None for none of them."""
        if element is None:
            return self._next()
        return replace(self, queue=(*self.queue, element), pick=Prediction(element, action))._next()

    @property
    def prediction(self) -> Prediction:
        """What counts if the episode ends here, before the batch is answered. A pick is void when nothing waits:
        it was turned down in its turn, or is about to be asked about again."""
        return self.pick if self.pick is not None and self.queue else NOTHING

    def _next(self) -> Rounds:
        # A single candidate that is not the pick has not been in a question.
        unasked = len(self.queue) == 1 and (self.pick is None or self.pick.element != self.queue[0])
        if len(self.queue) > 1 or (self.rules == "corrected" and unasked):
            return replace(self, batch=self.queue[: self.size], queue=self.queue[self.size :])
        return replace(self, batch=())


def most_rounds(candidates: int, size: int) -> int:
    """The number of questions when every one is answered with a choice, which is the longest course."""
    rounds = 0
    while candidates > 1:
        candidates -= min(size, candidates) - 1
        rounds += 1
    return max(rounds, 1)
