"""Replies that may only be one of a few texts: which token may come next, and when the choice has fallen.

Every choice is written with the tokens that tuning would mark as trained in it, so a constrained reply is one that
the model could have given freely. Choosing token by token is not the same as comparing whole choices: a choice is
reached through its first token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Tokens = tuple[int, ...]


class ChoiceTokens:
    """`sequences` maps each choice to its tokens, the closing token included, so that none is the beginning of another.

    Raises ValueError where no choice is given or two choices have the same tokens.
    """

    def __init__(self, sequences: Mapping[str, Sequence[int]]) -> None:
        self.sequences: dict[str, Tokens] = {choice: tuple(ids) for choice, ids in sequences.items()}
        if not self.sequences or not all(self.sequences.values()):
            raise ValueError("a constrained reply needs choices of one token or more")
        if len(set(self.sequences.values())) < len(self.sequences):
            raise ValueError(f"choices that the model cannot tell apart: {', '.join(self.sequences)}")

    @property
    def longest(self) -> int:
        """Most tokens until a choice has fallen."""
        return max(self._decisive(ids) for ids in self.sequences.values())

    def _decisive(self, ids: Tokens) -> int:
        return next(count for count in range(1, len(ids) + 1) if self.decided(ids[:count]) is not None)

    def allowed(self, reply: Sequence[int]) -> list[int]:
        """The tokens that may follow `reply`, in ascending order; none where it is no beginning of a choice."""
        return sorted({ids[len(reply)] for ids in self._left(reply).values() if len(ids) > len(reply)})

    def decided(self, reply: Sequence[int]) -> str | None:
        """The choice once `reply` leaves only one; its further tokens need not be generated."""
        left = self._left(reply)
        return next(iter(left)) if len(left) == 1 else None

    def _left(self, reply: Sequence[int]) -> dict[str, Tokens]:
        begun = tuple(reply)
        return {choice: ids for choice, ids in self.sequences.items() if ids[: len(begun)] == begun}
