"""Experiments and sweeps as lists of cells, each a list of options, and the command that runs one cell alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from agentx.errors import ConfigError

FOLDER = Path(__file__).resolve().parents[1] / "experiments"
GROUP = "experiments"
"""the option that names an experiment"""


def lines_of(cells: Any, scale: str | None) -> list[Any]:
    """The experiment's lines at that scale. Raises ConfigError where it has none."""
    if not isinstance(cells, Mapping):
        return list(cells)
    if scale not in cells:
        raise ConfigError(f"scale={scale}: this experiment has cells for scale={' and scale='.join(map(str, cells))}")
    return list(cells[scale])


def jobs_of(
    params: Mapping[str, Any], lines: Iterable[str | Sequence[str]], arguments: Sequence[str]
) -> list[list[str]]:
    """The overrides of every job: the combinations within each line, for all lines, without repetitions.

    `params` and `arguments` (the command line) hold for every line; an argument replaces what `params` or the line say
    of the same option. Without lines, `params` and `arguments` alone are combined. Raises ConfigError.
    """
    given = [f"{key}={value}" for key, value in params.items()]
    parser = OverridesParser.create()
    typed = parser.parse_overrides(list(arguments))
    settled = {override.get_key_element() for override in typed}
    jobs: dict[tuple[str, ...], None] = {}
    for line in lines or [()]:
        options = [*given, *(line.split() if isinstance(line, str) else line)]
        own = [o for o in parser.parse_overrides(options) if o.get_key_element() not in settled]
        if any(o.is_sweep_override() and not o.is_discrete_sweep() for o in [*own, *typed]):
            raise ConfigError("a sweep over an interval needs a sweeper that draws from it; list values instead")
        for batch in BasicSweeper.split_arguments([*own, *typed], None):
            jobs.update(dict.fromkeys(tuple(job) for job in batch))
    return [list(job) for job in jobs]


@cache
def cells_of(experiment: str, scale: str) -> tuple[tuple[str, ...], ...]:
    """The options of every cell of experiments/<experiment>.yaml at that scale, without what all of them share."""
    sweeper = _document(experiment)["hydra"]["sweeper"]
    return tuple(tuple(job) for job in jobs_of({}, lines_of(sweeper["cells"], scale), []))


def command(options: Sequence[str]) -> str:
    """What a user types to run the cell with these options, and no other: where they name an experiment, its own
    options stand in its place."""
    typed = keyed(options)
    experiment = typed.pop(GROUP, "").partition("=")[2]
    shared = keyed(_shared(experiment)) if experiment else {}
    return f"python run.py {shlex.join({**shared, **typed}.values())}"


def keyed(options: Sequence[str]) -> dict[str, str]:
    """The options by what they set."""
    return {option.partition("=")[0]: option for option in options}


def _shared(experiment: str) -> list[str]:
    """What an experiment sets in all of its cells, as options: its choices and its values."""
    document = dict(_document(experiment))
    document.pop("hydra", None)
    choices = document.pop("defaults", [])
    chosen = [f"{group.removeprefix('override /')}={choice}" for entry in choices for group, choice in entry.items()]
    return [*chosen, *(f"{name}={value}" for name, value in _flat(document))]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "null" if value is None else value


@cache
def _document(experiment: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FOLDER / f"{experiment}.yaml").read_text(encoding="utf-8"))
    return document
