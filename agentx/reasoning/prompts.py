"""The wording of planner, judge, backtracking and prompting styles: `prompts.yaml` beside this file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import yaml


def _source() -> bytes:
    return resources.files("agentx.reasoning").joinpath("prompts.yaml").read_bytes()


@cache
def _texts() -> Mapping[str, Any]:
    return MappingProxyType(yaml.safe_load(_source()))


def fingerprint() -> str:
    """Hash of the wording, for a run's provenance."""
    return hashlib.blake2b(_source(), digest_size=8).hexdigest()


def text(*keys: str, **values: object) -> str:
    """The wording under `keys` with `values` filled in. Values are never read as templates."""
    entry: Any = _texts()
    for key in keys:
        entry = entry[key]
    return str(entry).format(**values) if values else str(entry)


def one_line(observation: str, chars: int) -> str:
    """An observation on one line of at most `chars` characters."""
    line = " ".join(observation.split())
    return line if len(line) <= chars else line[: chars - 1].rstrip() + "…"
