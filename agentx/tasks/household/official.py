"""ALFWorld's own games, from the user's download, in AgentBench's lists or ALFWorld's whole splits."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentx.tasks.environment import TaskDataError
from agentx.tasks.household.settings import TASK_TYPES

_FOLDER = "json_2.1.1"
_FILE = "game.tw-pddl"
_DOWNLOAD = "run `alfworld-download` (package alfworld) once"


@dataclass(frozen=True)
class OfficialGame:
    """`id` is split, scene folder and trial, the same on every machine."""

    id: str
    task_type: str
    path: Path


def listed_games(alfworld: Path | None, agentbench: Path | None, split: str) -> list[OfficialGame]:
    """The games of AgentBench's list `split` (dev or standard), in its order.

    Raises TaskDataError naming the path to set, or the first game that is missing.
    """
    root = _games_folder(alfworld)
    if agentbench is None:
        raise TaskDataError(
            f"task.split={split}: AgentBench's list of games is needed: set paths.agentbench= to the data folder of an "
            "AgentBench checkout, or use task.split=valid_unseen"
        )
    path = agentbench / "alfworld" / f"{split}.json"
    content = _read(path, f"paths.agentbench={agentbench} has no alfworld/{split}.json")
    lists = content.values() if isinstance(content, dict) else [None]
    names: list[str] = []
    for entry in lists:
        if not isinstance(entry, list) or not all(isinstance(name, str) for name in entry):
            raise TaskDataError(f"{path}: expected an object of lists of game paths, as in AgentBench 0.2")
        names += entry
    games = [_game(root, root / name.removeprefix(f"{_FOLDER}/")) for name in names]
    missing = [game for game in games if not game.path.is_file()]
    if missing:
        raise TaskDataError(
            f"{len(missing)} of {len(games)} games of {path.name} are missing, first {missing[0].path}: "
            f"set paths.alfworld= to ALFWorld's {_FOLDER} folder; to get it, {_DOWNLOAD}"
        )
    return games


def split_games(alfworld: Path | None, split: str) -> list[OfficialGame]:
    """Every game of ALFWorld's valid_seen or valid_unseen that ALFWorld itself plays: solvable, with no movable
    receptacle and nothing to slice. Sorted by id. Raises TaskDataError when the folder or a file is not in order."""
    folder = _games_folder(alfworld) / split
    if not folder.is_dir():
        raise TaskDataError(f"{folder} is missing: to get ALFWorld's games, {_DOWNLOAD}")
    paths = [path for path in folder.glob(f"*/*/{_FILE}") if _played(path)]
    games = sorted((_game(folder.parent, path) for path in paths), key=lambda game: game.id)
    playable = [game for game in games if _solvable(game.path)]
    if not playable:
        raise TaskDataError(f"{folder} holds no playable game (<scene>/<trial>/{_FILE}): {_DOWNLOAD}")
    return playable


def read_game(path: Path) -> dict[str, Any]:
    """The contents of a game file. Raises TaskDataError when it cannot be played or nobody has solved it."""
    if not _solvable(path):
        raise TaskDataError(f"{path}: marked as not solvable, so it is not part of the benchmark; leave it out")
    return _read(path, f"{path} is missing")


def _games_folder(alfworld: Path | None) -> Path:
    if alfworld is None:
        raise TaskDataError(
            f"task.source=official: ALFWorld's games are needed: {_DOWNLOAD} and set paths.alfworld= to its {_FOLDER} "
            "folder, or use task.source=generated"
        )
    inner = alfworld / _FOLDER
    folder = inner if inner.is_dir() else alfworld
    if not folder.is_dir():
        raise TaskDataError(f"paths.alfworld={alfworld}: no such folder; {_DOWNLOAD}")
    return folder


def _game(root: Path, path: Path) -> OfficialGame:
    try:
        identifier = path.parent.relative_to(root).as_posix()
    except ValueError as error:
        raise TaskDataError(f"{path}: is not inside {root}") from error
    scene = path.parent.parent.name
    task_type = scene.split("-", 1)[0]
    if task_type not in TASK_TYPES or ".." in path.parts:
        raise TaskDataError(f"{path}: {scene!r} does not begin with a task type ({', '.join(TASK_TYPES)})")
    return OfficialGame(identifier, task_type, path)


def _played(path: Path) -> bool:
    scene = path.parent.parent.name
    return "movable" not in scene and "Sliced" not in scene


def _solvable(path: Path) -> bool:
    game = _read(path, f"{path} is missing")
    if not isinstance(game, dict) or "solvable" not in game:
        raise TaskDataError(
            f"{path}: has no 'solvable' entry, so it is not a finished ALFWorld game; {_DOWNLOAD} again"
        )
    return bool(game["solvable"])


def _read(path: Path, missing: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise TaskDataError(missing) from error
    except OSError as error:
        raise TaskDataError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise TaskDataError(f"{path}: not valid JSON ({error}); fetch it again") from error


def evenly(games: Iterable[OfficialGame], count: int | None) -> list[OfficialGame]:
    """`count` games spread evenly over the list, so that a small sample meets every task type; None for all."""
    everything = list(games)
    if count is None or count >= len(everything):
        return everything
    return [everything[index * len(everything) // count] for index in range(count)]
