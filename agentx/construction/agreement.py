"""Whether two replies of an environment say the same, and whether a simulated one contradicts those before it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentx.construction.record import Turn

_SEEN = re.compile(r"\byou see (.+)$")
_NAME = re.compile(r"[a-z]+ \d+")
_LISTING = re.compile(r"(?:on the ([a-z]+ \d+)|the ([a-z]+ \d+) is open\. in it), you see (.+?)\.?$")
_TAKEN = re.compile(r"you pick up the ([a-z]+ \d+) from the ([a-z]+ \d+)")
_PUT = re.compile(r"you (?:move|put) the ([a-z]+ \d+) (?:to|in/on) the ([a-z]+ \d+)")
# Looking changes nothing; of what tools do only reading SQL is certain not to.
_LOOKING = re.compile(r"examine .+|look|inventory|help|operation\s+```sql\s+select\b.*", re.DOTALL)
# What differs from one play to the next whatever the agent does: dates and times of day.
_VOLATILE = re.compile(
    r"\b(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? +"
    r"|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]* +\d{1,2}\b"
    r"|\b\d{4}-\d\d-\d\d\b|\b\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?\b"
)


def agree(one: str, other: str) -> bool:
    """Equal up to letter case, white space, a final full stop, the article before a vowel, the order in which things
    are listed, and dates and times of day."""
    return _normal(one) == _normal(other)


def contradictions(turns: Sequence[Turn]) -> list[int]:
    """Turns whose simulated reply contradicts an earlier one of the dialogue: a look repeated with nothing done in
    between that shows something else, or (household) a listing that does not follow from the last one of the same
    place and what was taken and put since."""
    found = []
    looks: dict[str, str] = {}
    contents: dict[str, set[str]] = {}
    for number, turn in enumerate(turns):
        reply = turn.observation if turn.said is None else turn.said
        simulated = turn.by == "simulated" or turn.said is not None
        text = " ".join(reply.casefold().split())
        action = turn.action.strip().casefold()
        wrong = False
        if listing := _LISTING.search(text):
            place = listing.group(1) or listing.group(2)
            names = set(_NAME.findall(listing.group(3)))
            wrong = contents.get(place, names) != names
            contents[place] = names
        elif _LOOKING.fullmatch(action):
            wrong = action in looks and not agree(looks[action], reply)
        if wrong and simulated:
            found.append(number)
        if _LOOKING.fullmatch(action):
            looks[action] = reply
        elif text != "nothing happens.":
            looks = {}
        if moved := _TAKEN.match(text):
            contents.get(moved.group(2), set()).discard(moved.group(1))
        elif (moved := _PUT.match(text)) and moved.group(2) in contents:
            contents[moved.group(2)].add(moved.group(1))
    return found


def _normal(text: str) -> str:
    words = " ".join(text.casefold().split()).removesuffix(".")
    words = _VOLATILE.sub("<time>", words).replace(" an ", " a ")
    return _SEEN.sub(lambda found: "you see " + ", ".join(sorted(_listed(found.group(1)))), words)


def _listed(listing: str) -> list[str]:
    return _NAME.findall(listing) or [listing.strip()]
