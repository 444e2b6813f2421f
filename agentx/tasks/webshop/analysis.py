"""Text to index terms as Lucene's English analyser makes them.

The standard tokenizer (Unicode word boundaries, pictographs are tokens), possessive endings cut, 33 stop words left
out, Porter's stemmer with its author's later additions.
"""

from __future__ import annotations

import re

from agentx.tasks.webshop.stemming import stem

_STOPPED = """
a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to was
will with
"""
STOP_WORDS = frozenset(_STOPPED.split())
MAX_TOKEN_LENGTH = 255
"""longer tokens are cut into pieces of this many characters"""

# Letters and digits of the Unicode word rules. Numerals such as "½" and "①" are no part of words there, although
# Python's \w has them; some spacing modifiers are, although \w has them not.
_NO_TOKEN = re.compile(
    "[\u00b2\u00b3\u00b9\u00bc-\u00be\u09f4-\u09f9\u0b72-\u0b77\u0bf0-\u0bf2\u0c78-\u0c7e\u0d58-\u0d5e\u0d70-\u0d78"
    "\u0f2a-\u0f33\u1369-\u137c\u17f0-\u17f9\u2070\u2074-\u2079\u2080-\u2089\u2150-\u215f\u2189\u2460-\u249b"
    "\u24ea-\u24ff\u2776-\u2793\u2cfd\u3006\U0001f100-\U0001f10c]"
)
_SINGLE = "[\u24b6-\u24e9\u2e80-\u2ef3\u2f00-\u2fd5\u3041-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
_ALONE = re.compile(_SINGLE)
_PICTOGRAPH = (
    "[\u00a9\u00ae\u203c\u2049\u2122\u2194-\u2199\u21a9\u21aa\u231a\u231b\u2328\u2388\u23cf\u23e9-\u23f3\u23f8-\u23fa"
    "\u25aa\u25ab\u25b6\u25c0\u25fb-\u25fe\u2600-\u2605\u2607-\u2612\u2614-\u2685\u2690-\u2705\u2708-\u2712\u2714"
    "\u2716\u271d\u2721\u2728\u2733\u2734\u2744\u2747\u274c\u274e\u2753-\u2755\u2757\u2763-\u2767\u2795-\u2797\u27a1"
    "\u27b0\u27bf\u2934\u2935\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\u3030\u303d\U0001f000-\U0001f02b"
    "\U0001f030-\U0001f093\U0001f0a0-\U0001f0f5\U0001f10d-\U0001f10f\U0001f12f-\U0001f149\U0001f150-\U0001f169"
    "\U0001f16c-\U0001f189\U0001f18e\U0001f191-\U0001f1ad\U0001f200-\U0001f53d"
    "\U0001f546-\U0001f64f\U0001f680-\U0001f6fc\U0001f7d5-\U0001f7f0\U0001f8b0\U0001f8b1\U0001f90c-\U0001f93a"
    "\U0001f93c-\U0001f945\U0001f947-\U0001faf6]"
)
_MODIFIED = f"{_PICTOGRAPH}[\ufe0e\ufe0f]?[\U0001f3fb-\U0001f3ff]?"
_WORD = "[\\w\u02c2-\u02c5\u02d2-\u02d7\u02de\u02df\u02ed\u02ef-\u036f\u200d\ufe00-\ufe0f]"
_LETTER = "[^\\W\\d_]"
_UNICODE_TOKEN = re.compile(
    f"[0-9#*]\ufe0f?\u20e3"
    f"|[\U0001f1e6-\U0001f1ff]{{1,2}}"
    f"|{_SINGLE}"
    f"|{_MODIFIED}(?:\u200d{_MODIFIED})*"
    f"|{_WORD}+(?:(?:(?<={_LETTER})['’‘:.·․＇．](?={_LETTER})|(?<=\\d)[,;.'’‘․＇．](?=\\d)){_WORD}+)*"
)
_ASCII_TOKEN = re.compile(
    r"[a-z0-9_]+(?:(?:(?<=[a-z])[':.](?=[a-z])|(?<=[0-9])[,;.'](?=[0-9]))[a-z0-9_]+)*", re.IGNORECASE
)
_POSSESSIVE = re.compile("['’＇][sS]$")


def tokenize(text: str) -> list[str]:
    """The standard tokenizer's tokens, before the filters."""
    if text.isascii():
        found = _ASCII_TOKEN.findall(text)
    else:
        found = _UNICODE_TOKEN.findall(_ALONE.sub(r" \g<0> ", _NO_TOKEN.sub(" ", text)))
    return found


def term_of(token: str) -> str:
    """The index term of a token, '' for one that is left out."""
    word = _POSSESSIVE.sub("", token).lower()
    if word in STOP_WORDS or not word.strip("_"):
        return ""
    return stem(word)


def analyze(text: str) -> list[str]:
    """Index terms of a text in order, repeats included."""
    return [term for token in tokenize(text) for piece in pieces(token) if (term := term_of(piece))]


def pieces(token: str) -> list[str]:
    """The token, cut where it is too long."""
    if len(token) <= MAX_TOKEN_LENGTH:
        return [token]
    return [token[start : start + MAX_TOKEN_LENGTH] for start in range(0, len(token), MAX_TOKEN_LENGTH)]
