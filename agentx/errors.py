"""Errors a user can mend: shown as one line, without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Names what is wrong, where, and what to do instead. `run.py` prints it as one line."""

    exit_code = 1


class ConfigError(UserError):
    """The configuration is wrong: exit code 2."""

    exit_code = 2


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """What to put after a message that refuses `given`: "; did you mean x?", or nothing where nothing is near."""
    close = difflib.get_close_matches(given, list(allowed), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""
