"""Data sets by name: known ones, any set of the Hub, and files; each read into conversations.

A known set is looked for in the user's own folder first (`paths.datasets`), then had from the Hub through `datasets`,
which keeps what it downloads. No code that comes with a data set is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from agentx.errors import UserError, did_you_mean
from agentx.tuning.datasets import SUFFIXES, FileData, parse_records, read_conversations, some

ON_HUB = re.compile(r"(?P<hub>[\w.-]+/[\w.-]+)(/(?P<config>[\w.-]+))?(:(?P<split>[\w.-]+))?")
"""owner/name, owner/name/config, with :split after either"""


@dataclass(frozen=True)
class HubSet:
    """A data set on the Hub."""

    name: str
    """what the user called it"""
    hub: str
    """owner/name"""
    splits: tuple[str, ...] = ("train",)
    config: str | None = None
    files: str | None = None
    """which of the repository's files; None: as its own configuration says"""
    side: str = ""
    """agent or general: which side of λ it is made for"""
    holds: str = ""
    licence: str = ""


@cache
def known_sets() -> dict[str, HubSet]:
    """By name."""
    text = Path(__file__).with_name("known_sets.yaml").read_text(encoding="utf-8")
    return {
        name: HubSet(name, **{**record, "splits": tuple(record["splits"])})
        for name, record in yaml.safe_load(text).items()
    }


def read_set(name: str, on_error: Literal["stop", "skip"], folder: Path | None = None) -> FileData:
    """The conversations of a known set, a file, a directory of files or a set of the Hub (owner/name[/config][:split]).

    Raises UserError when there is no such thing, it cannot be had, or, with on_error="stop", for a broken record.
    """
    known = known_sets().get(name)
    if known is not None:
        own = _own_copy(name, folder)
        if own is None or own.is_dir():
            return _through_datasets(known, own, on_error)
        return read_conversations(own, on_error)
    path = Path(name).expanduser()
    if path.exists() or path.suffix.lower() in SUFFIXES:
        return read_conversations(path, on_error)
    on_hub = ON_HUB.fullmatch(name)
    if on_hub is not None and not name.startswith("."):
        split = on_hub["split"]
        on_the_hub = HubSet(name, on_hub["hub"], (split,) if split else ("train",), on_hub["config"])
        return _through_datasets(on_the_hub, None, on_error)
    names = ["experts", "skills", "constructed", *known_sets()]
    raise UserError(
        f"{name}: no such data set{did_you_mean(name, names)}; there is {', '.join(names)}, any JSON, JSONL or Parquet "
        "file, a directory of them, or owner/name of the Hub"
    )


def _own_copy(name: str, folder: Path | None) -> Path | None:
    if folder is None:
        return None
    if not folder.is_dir():
        raise UserError(f"paths.datasets={folder}: no such directory")
    places = [folder / name, *(folder / f"{name}{suffix}" for suffix in SUFFIXES)]
    return next((place for place in places if place.exists()), None)


def _through_datasets(found: HubSet, directory: Path | None, on_error: Literal["stop", "skip"]) -> FileData:
    """From the Hub, or from `directory`, into which the set was downloaded: either way the library tells the splits."""
    origin = str(directory or found.hub)
    return some(parse_records(_rows(found, directory), origin, found.name, on_error), origin)


def _rows(found: HubSet, directory: Path | None) -> Iterator[tuple[str, Any]]:
    import datasets

    for split in found.splits:
        try:
            place = str(directory) if directory else found.hub
            rows = datasets.load_dataset(place, found.config, split=split, data_files=found.files)
        except Exception as error:  # whatever network, Hub or library raise, the user can do the same about it
            raise UserError(_advice(found, directory, error)) from error
        label = f"{split}:row" if len(found.splits) > 1 else "row"
        yield from ((f"{label} {number}", row) for number, row in enumerate(rows, start=1))


def _advice(found: HubSet, directory: Path | None, error: Exception) -> str:
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:160]
    known = found.name in known_sets()
    place = found.name if known else found.hub.rpartition("/")[2]
    download = f"`hf download --repo-type dataset {found.hub}{f' {found.files}' if found.files else ''} --local-dir"
    if directory is not None:
        return f"{directory}: does not hold the set {found.name} ({reason}); {download} {directory}` downloads it"
    use = "set paths.datasets=DIR" if known else f"name DIR/{place} instead"
    return (
        f"{found.name}: {found.hub} cannot be had from the Hub ({reason}); where there is a network, run "
        f"{download} DIR/{place}`, then {use}"
    )
