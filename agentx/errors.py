"""Errors a user can mend: shown as one line, without a traceback."""


class UserError(Exception):
    """Names what is wrong, where, and what to do instead. `run.py` prints it as one line."""

    exit_code = 1


class ConfigError(UserError):
    """The configuration is wrong: exit code 2."""

    exit_code = 2
