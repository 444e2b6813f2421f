"""Whether what an agent says fits what its dialogue shows.

After a repair that is a question of its own: the agent wrote what follows a false reply before the real one took its
place. What cannot be told for sure counts against the dialogue, since it is to be imitated.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from agentx.construction.record import Dialogue, Turn
from agentx.trajectory import Verdict as StepVerdict

_NUMBERED = re.compile(r"\b([a-z]+) \d+\b")
_WORD = re.compile(r"[a-z0-9_]+(?:[./'-][a-z0-9_]+)*")
_WHOLE = re.compile(r"(?<=\d)\.0+$")
"""38 and 38.0 are the same"""
_SHORTEST = 3
"""letters of a word that means something; numbers count at any length"""
_SAY_NOTHING = frozenset(
    re.findall(
        r"\w+",
        """about after again all also and any are before but can did does done each for from had has have here how into
        its just let more must need next not now off one only other our out over see shall she should since some still
        than that the their them then there these they this those through too try under until use very was were what
        when where which while who will with would yet you your""",
    )
)
_DENIAL = re.compile(
    r"\b(?:no|not|none|nothing|nowhere|neither|never|without|empty|absent|missing|failed?|cannot|unable|\w+n['’]t)\b",
    re.IGNORECASE,
)
_HINT = re.compile(r"\bhint", re.IGNORECASE)
_NOTHING = re.compile(r"nothing happens\.?", re.IGNORECASE)


def inconsistency(written: Dialogue, played: Dialogue, classes: Collection[str], instruction: str) -> str:
    """The first thing that does not fit, in words; empty where there is none.

    `written` is what the agent answered to, `played` the same with the real replies, `instruction` what it was told
    beforehand. Of numbered things of the `classes` (e.g. mug) it may speak only when they have been shown.
    """
    return next(_unfit(written, played, classes, instruction), "")


def _unfit(written: Dialogue, played: Dialogue, classes: Collection[str], instruction: str) -> Iterator[str]:
    for number, turn, unseen in _unshown(played, classes):
        if _imitated(turn):
            yield f"turn {number} speaks of {unseen}, which was never shown"
    hinted = False
    for number, turn in enumerate(played.turns):
        if hinted and _imitated(turn) and _HINT.search(turn.thought):
            yield f"turn {number} speaks of a hint, which the text leaves out"
        hinted = hinted or bool(turn.hint)
    for number, turn in enumerate(played.turns[:-1]):
        before = written.turns[number]
        misled = before.by == "simulated" and before.said is None and turn.said is not None
        if misled:
            said = [f"{earlier.reply} {earlier.observation}" for earlier in played.turns[:number]]
            shown = " ".join([instruction, played.opening, *said, turn.reply])
            yield from _misled(number, before.observation, turn.observation, shown, played.turns[number + 1 :])


def _unshown(dialogue: Dialogue, classes: Collection[str]) -> Iterator[tuple[int, Turn, str]]:
    """Numbered things that are spoken of before they were shown, with their turns."""

    def named(text: str) -> set[str]:
        return {found.group(0) for found in _NUMBERED.finditer(text.lower()) if found.group(1) in classes}

    seen = named(dialogue.opening)
    for number, turn in enumerate(dialogue.turns):
        for unseen in sorted(named(f"{turn.thought}\n{turn.action}") - seen):
            yield number, turn, unseen
        seen |= named(turn.observation)


def _misled(number: int, false: str, real: str, shown: str, later: Sequence[Turn]) -> Iterator[str]:
    """What the `later` turns still owe to the false reply of turn `number`; `shown` is everything said before it."""
    failed, really = (_NOTHING.fullmatch(reply.strip()) is not None for reply in (false, real))
    if failed != really:
        yield f"turn {number} was answered as if it had {'done nothing' if failed else 'worked'}"
    taken_up = _words(false) - _words(shown) - _words(real)
    for place, turn in enumerate(later, number + 1):
        if _imitated(turn) and (words := sorted(_words(f"{turn.thought}\n{turn.action}") & taken_up)):
            yield f"turn {place} says {words[0]!r}, which only the false reply to turn {number} said"
        taken_up -= _words(turn.observation)
    hides = not _words(real) <= _words(false)
    if hides and _imitated(later[0]) and (denial := _DENIAL.search(later[0].thought)):
        yield f"turn {number + 1} says {denial.group(0)!r} after a reply that hid a part of the real one"


def _words(text: str) -> set[str]:
    found = {_WHOLE.sub("", word) for word in _WORD.findall(text.casefold())}
    return {w for w in found if any(map(str.isdigit, w)) or (len(w) >= _SHORTEST and w not in _SAY_NOTHING)}


def _imitated(turn: Turn) -> bool:
    return turn.verdict == StepVerdict.VALID
