"""Reading replies: which choice, what to do with it, and with which value."""

from __future__ import annotations

import re
from dataclasses import dataclass

LETTERS = "ABCDEF"
NONE = "A"

_LETTER = re.compile(r"Answer: (A|B|C|D|E|F)")
_WHOLE_LETTER = re.compile(r"Answer:\s*\(?([A-F])(?![A-Za-z])")
_OPERATION = re.compile(r"Action: (CLICK|SELECT|TYPE)")
_VALUE = re.compile(r"Value: (.*)$", re.MULTILINE)
_LINE = re.compile(r"([A-Fa-f])(?![A-Za-z])([.:)]?)[ \t]*(.*)", re.DOTALL)
_COMMAND = re.compile(r"(CLICK|SELECT|TYPE)(?![A-Za-z])(:?)[ \t]*(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """`letter` is A for none of the choices, else B to F. `action` is "OPERATION value". `readable` is False where
    there was no letter and A stands in. `notices` names what the parser had to forgive."""

    letter: str
    action: str
    readable: bool = True
    notices: tuple[str, ...] = ()


def read_agentbench(reply: str, *, whole_letters: bool = False) -> Answer:
    """A reply of three lines, `Answer: B.`, `Action: TYPE`, `Value: x`, searched for in the whole reply and read the
    way AgentBench does: no letter is A, and "Answer: Definitely C" is D. With `whole_letters` a letter is one only
    where no other letter follows."""
    text = reply.strip()
    letter = (_WHOLE_LETTER if whole_letters else _LETTER).search(text)
    operation, value = _OPERATION.search(text), _VALUE.search(text)
    action = f"{operation[1] if operation else ''} {value[1].strip() if value else ''}"
    return Answer(letter[1] if letter else NONE, action, letter is not None)


def read_action(text: str | None) -> Answer:
    """An action of one line: `A`, or letter, operation and value: `B CLICK`, `C TYPE New York`. Never raises."""
    found = _LINE.fullmatch((text or "").strip())
    if found is None:
        return Answer(NONE, "", False)
    letter, mark, rest = found.groups()
    notices = ["letter_case"] * letter.islower() + ["punctuation"] * bool(mark)
    letter = letter.upper()
    command = _COMMAND.fullmatch(rest)
    if letter == NONE:
        return Answer(NONE, "", True, tuple(notices + ["trailing_text"] * bool(rest)))
    if command is None:
        return Answer(letter, "", True, (*notices, "no_operation"))
    operation, colon, value = command.groups()
    notices += ["operation_case"] * (not operation.isupper()) + ["punctuation"] * bool(colon and not mark)
    if operation.upper() == "CLICK":
        notices += ["value_of_click"] * bool(value.strip())
        value = ""
    return Answer(letter, f"{operation.upper()} {value.strip()}", True, tuple(notices))


def written(letter: str, action: str) -> str:
    """The action `read_action` reads as these two."""
    return NONE if letter == NONE else f"{letter} {action}".strip()
