"""The roles' prompts: one file each in `prompts/` beside this module."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Any

import yaml

QUESTION = "question_generator"
ACTION = "action_maker"
ENVIRONMENT = "environment_agent"
IMITATION = "imitation"


def text(name: str, *keys: str, **values: object) -> str:
    """The wording under `keys` of a prompt file, with `values` filled in. Values are never read as templates."""
    entry: Any = _texts(name)
    for key in keys:
        entry = entry[key]
    return str(entry).format(**values) if values else str(entry)


@cache
def fingerprint(name: str) -> str:
    """Hash of a prompt file, for provenance."""
    return hashlib.sha256(_source(name)).hexdigest()[:12]


@cache
def _texts(name: str) -> Any:
    return yaml.safe_load(_source(name))


def _source(name: str) -> bytes:
    return resources.files(__package__).joinpath("prompts", f"{name}.yaml").read_bytes()
