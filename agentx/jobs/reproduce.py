"""`job=reproduce job.cell=outputs/cells/…`: run a cell again, in a place of its own, and compare the two.

Compared are what decides the result (weights, data, prompts, settings), every trajectory step by step, and the
summary. What differs first is said; exit code 1 when anything does.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from agentx import config as configuration
from agentx.config import Config
from agentx.errors import ConfigError, UserError

log = logging.getLogger(__name__)

IGNORED = {"seconds", "cached_tokens", "timing"}
"""what depends on the machine and on what else was in the batch"""


@dataclass(frozen=True)
class ReproduceSettings:
    """Options of job=reproduce."""

    name: str = "reproduce"
    cell: Path | None = None
    """directory of the cell"""
    adapter: str = "train"
    """train: make the adapter again, too; reuse: take the one that is there"""

    def __post_init__(self) -> None:
        if self.cell is None:
            raise ConfigError("job.cell: needs a value, the directory of the cell to run again")
        if self.adapter not in ("train", "reuse"):
            raise ConfigError(f"job.adapter={self.adapter}: must be one of train, reuse")


def run(config: Config) -> Path:
    """Returns the new cell's directory. Raises UserError with the first difference."""
    from agentx.jobs.evaluate import run_cell

    original = Path(config.job.cell)
    again = config_of(original, config.paths.output, reuse=config.job.adapter == "reuse")
    directory = run_cell(again, may_train=True)
    found = list(differences(original, directory))
    for line in found[:20]:
        print(f"  differs: {line}")
    if found:
        raise UserError(f"{original}: not reproduced; the first difference: {found[0]} (run again in {directory})")
    print(f"{original}: reproduced, every step is the same ({directory})")
    return directory


def config_of(cell: Path, output: Path, *, reuse: bool) -> Config:
    """The cell's configuration with an output of its own under `output`/reproduced. Raises UserError."""
    path = cell / "config.yaml"
    try:
        recorded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"job.cell={cell}: holds no configuration that can be read ({error})") from error
    if not isinstance(recorded, dict) or not (cell / "episodes.jsonl").exists():
        raise UserError(f"job.cell={cell}: is not the directory of an evaluated cell")
    place = output / "reproduced" / cell.name
    recorded["job"] = {"name": "experiment"}
    recorded["logger"] = {"name": "csv"}  # no second run beside the original's, wherever that was logged
    recorded["paths"] = {**recorded["paths"], "output": str(place)}
    if reuse:
        place.mkdir(parents=True, exist_ok=True)
        adapters, link = cell.resolve().parents[1] / "adapters", place / "adapters"
        if adapters.is_dir() and not link.exists():
            link.symlink_to(adapters)
    return configuration.from_hydra(OmegaConf.create(recorded))


def differences(original: Path, again: Path) -> Iterator[str]:
    """Where two cells differ, the causes before the effects."""
    for name, what in (("identity.json", "decisive settings"), ("provenance.json", "")):
        ours, theirs = _json(original / name), _json(again / name)
        if what:
            yield from (f"{what}: {line}" for line in compare(ours, theirs))
        elif ours.get("git_commit") != theirs.get("git_commit") or ours.get("packages") != theirs.get("packages"):
            log.info("note: made by other code or packages: %s", "; ".join(compare(_made_by(ours), _made_by(theirs))))
    yield from _trajectories(original, again)
    yield from (f"summary: {line}" for line in compare(_json(original / "summary.json"), _json(again / "summary.json")))


def _made_by(provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {name: provenance.get(name) for name in ("git_commit", "packages", "python")}


def _trajectories(original: Path, again: Path) -> Iterator[str]:
    from agentx.evaluation.store import ResultStore

    ours = {(t.sample, t.trial): t.to_dict() for t in ResultStore(original).trajectories()}
    theirs = {(t.sample, t.trial): t.to_dict() for t in ResultStore(again).trajectories()}
    for key in sorted(ours.keys() | theirs.keys()):
        name = f"sample {key[0]}, trial {key[1]}"
        if key not in ours or key not in theirs:
            yield f"{name}: only in the {'original' if key in ours else 'new'} cell"
            continue
        line = next(compare(ours[key], theirs[key]), None)
        if line is not None:
            yield f"{name}: {line}"


def compare(ours: Any, theirs: Any, place: str = "") -> Iterator[str]:
    """The places at which two JSON values differ, with both values, in order."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in [*ours, *(name for name in theirs if name not in ours)]:
            if name not in IGNORED:
                yield from compare(ours.get(name), theirs.get(name), f"{place}.{name}" if place else name)
    elif isinstance(ours, list) and isinstance(theirs, list):
        for index, (one, other) in enumerate(zip(ours, theirs, strict=False)):
            yield from compare(one, other, f"{place}[{index}]")
        if len(ours) != len(theirs):
            yield f"{place}: {len(ours)} entries, now {len(theirs)}"
    elif ours != theirs:
        yield f"{place}: {_short(ours)}, now {_short(theirs)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _json(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    assert isinstance(record, dict)
    return record
