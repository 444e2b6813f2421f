"""Errors of Hydra's composition told as one line that names the option and the nearest valid spelling."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from agentx.errors import ConfigError, UserError
from agentx.jobs.usage import CONF, groups
from agentx.tasks.environment import TaskDataError


def explain(error: BaseException) -> UserError | None:
    """The user's mistake behind `error`, or None when it is a defect of ours."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, TaskDataError):
        return UserError(str(error))
    if isinstance(error, OverrideParseException):
        given = getattr(error, "override", None) or str(error)
        return ConfigError(f"{given}: cannot be read as option=value; quote values with blanks, commas or braces")
    if isinstance(error, MissingConfigException):
        return _missing_choice(error)
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _unknown_option(error)
    return None


def wants_traceback(arguments: Sequence[str]) -> bool:
    return any(re.fullmatch(r"\+{0,2}hydra\.verbose=(true|True|\[.*\])", argument) for argument in arguments)


def _missing_choice(error: MissingConfigException) -> ConfigError:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    choice = choice.removesuffix(".yaml")
    allowed = list(error.options or []) or sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    if not group or not allowed:
        return ConfigError(str(error).splitlines()[0])
    close = difflib.get_close_matches(choice, allowed, n=1, cutoff=0.4)
    hint = f"; did you mean {group}={close[0]}?" if close else ""
    return ConfigError(f"{group}={choice}: no such choice; there is {', '.join(sorted(allowed))}{hint}")


def _unknown_option(error: BaseException) -> ConfigError:
    text = f"{error}\n{error.__cause__ or ''}"
    match = re.search(r"Could not override '([^']+)'", text) or re.search(r"override '([^']+)'", text)
    if match is None:
        return ConfigError(" ".join(line.strip() for line in str(error).splitlines() if line.strip())[:400])
    option = match.group(1)
    if "No match in the defaults list" in text:
        return ConfigError(f"{option}: no such group of choices{_nearest(option, list(groups()))}")
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException) and "is not in struct" not in str(cause):
        return ConfigError(f"{option}: {str(cause).splitlines()[0]}")
    return ConfigError(f"{option}: no such option{_nearest(option, known_options())}")


def _nearest(option: str, allowed: Sequence[str]) -> str:
    if option in allowed:
        return f" with this choice of {option.partition('.')[0]}"
    close = difflib.get_close_matches(option, allowed, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]}?"
    section = option.rpartition(".")[0]
    siblings = sorted({name for name in allowed if name.rpartition(".")[0] == section})
    return f"; there is {', '.join(siblings)}" if siblings else "; `python run.py --cfg job` prints all options"


def known_options() -> list[str]:
    """Every option that the default configuration holds, groups included, as the user types them."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    names: list[str] = []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            tree = OmegaConf.to_container(compose("config"), resolve=False)
        except ConfigCompositionException:
            tree = {}
    _collect(tree, "", names)
    return names


def _collect(tree: object, prefix: str, names: list[str]) -> None:
    if isinstance(tree, dict):
        for key, value in tree.items():
            names.append(f"{prefix}{key}")
            _collect(value, f"{prefix}{key}.", names)
