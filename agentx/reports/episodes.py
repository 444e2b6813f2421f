"""The page on which every episode can be read: a small index per cell, and the episodes in files loaded on demand.

The page is static and opens from disk. Nothing of a model's is ever put into HTML: the data files hold JSON in
strings, and the page's scripts make text nodes of it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentx.errors import UserError
from agentx.evaluation.store import EPISODES, INFRASTRUCTURE_ERRORS, ResultStore
from agentx.evaluation.summary import Plan, write_whole
from agentx.reports.collect import Row
from agentx.reports.facts import FORMAT, CellFacts, EpisodeFacts
from agentx.reports.tables import with_interval

VIEWER = Path(__file__).with_name("viewer")
SCRIPTS = ("elements.js", "data.js", "list.js", "tree.js", "episode.js", "main.js")
CHUNK_CHARACTERS = 500_000
"""a data file holds one episode at least and is closed when it has reached this length"""
FACTS = "facts.json"


def write_data(rows: Sequence[Row], directory: Path) -> tuple[list[CellFacts], list[str]]:
    """Write the data files of every cell below `directory`, one folder each, and remove those of cells that are no
    more. Returns the facts of the cells and the folders' names, both in the order of `rows`.

    A cell whose episodes have not changed since the last time is not read again.
    """
    names = _folder_names(rows)
    cells = [_cell(row, directory / name) for row, name in zip(rows, names, strict=True)]
    for old in directory.glob(f"*/{FACTS}") if directory.is_dir() else ():
        if old.parent.name not in names:
            shutil.rmtree(old.parent)
    return cells, names


def copy_viewer(directory: Path) -> None:
    """The page's scripts and style, into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in (*SCRIPTS, "viewer.css"):
        write_whole(directory / name, (VIEWER / name).read_text(encoding="utf-8"))


def _cell(row: Row, folder: Path) -> CellFacts:
    stamp = _stamp(row.directory)
    episodes = _kept(folder, stamp)
    if episodes is None:
        episodes = _write_episodes(row, folder, stamp)
    # Options of the cell may have been read differently by another version: this file is small and always made anew.
    _write_index(row, folder, episodes)
    return CellFacts(row, episodes)


def _stamp(cell: Path) -> list[Any]:
    """Changes whenever the cell's files do, or what is made of them."""
    files = [cell / name for name in (EPISODES, INFRASTRUCTURE_ERRORS)]
    return [
        FORMAT,
        CHUNK_CHARACTERS,
        *([f.stat().st_size, f.stat().st_mtime_ns] if f.exists() else None for f in files),
    ]


def _kept(folder: Path, stamp: list[Any]) -> list[EpisodeFacts] | None:
    """The facts as the last report left them, where they are still true."""
    try:
        kept = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        if kept["stamp"] != stamp or not all((folder / f"{i}.js").exists() for i in range(len(kept["starts"]))):
            return None
        return [EpisodeFacts.from_dict(record) for record in kept["episodes"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_episodes(row: Row, folder: Path, stamp: list[Any]) -> list[EpisodeFacts]:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    episodes: list[EpisodeFacts] = []
    starts: list[int] = []
    texts: list[str] = []
    length = 0
    store = ResultStore(row.directory)

    def close() -> None:
        nonlocal texts, length
        body = ",\n".join(json.dumps(text) for text in texts)
        name = json.dumps(folder.name)
        write_whole(folder / f"{len(starts)}.js", f"agentx.chunk({name},{len(starts)},[\n{body}\n]);\n")
        starts.append(len(episodes) - len(texts))
        texts, length = [], 0

    for trajectory, text in store.stream():
        episodes.append(EpisodeFacts.of(trajectory))
        texts.append(text)
        length += len(text)
        if length >= CHUNK_CHARACTERS:
            close()
    if texts:
        close()
    errors = [[error.sample, error.trial, error.limit] for error in store.infrastructure_errors()]
    kept = {
        "stamp": stamp,
        "starts": starts,
        "errors": errors,
        "episodes": [episode.to_dict() for episode in episodes],
    }
    write_whole(folder / FACTS, json.dumps(kept, separators=(",", ":")))
    return episodes


def _write_index(row: Row, folder: Path, episodes: Sequence[EpisodeFacts]) -> None:
    kept = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    widths = f" {row.num_path}×{row.num_branch}" if row.num_path > 1 or row.num_branch > 1 else ""
    ratio = "" if row.agent_ratio is None else f", λ={row.agent_ratio:g}"
    index = {
        "id": folder.name,
        "task": row.label,
        "model": row.model,
        "training": "untuned" if row.tuning == "none" else f"{row.tuning} on {row.data}{ratio}",
        "method": row.method + widths,
        "oracle": row.uses_oracle,
        "seed": row.seed,
        "n": row.n,
        "expected": row.summary["expected"],
        "success": f"{with_interval(row.summary['success_rate'])} %",
        "threshold": _threshold(row, episodes),
        "starts": kept["starts"],
        "errors": kept["errors"],
        "columns": {name: [column[name] for column in map(_columns, episodes)] for name in _columns(_EMPTY)},
    }
    write_whole(folder / "index.js", f"agentx.index({json.dumps(index, separators=(',', ':'))});\n")


_EMPTY = EpisodeFacts("", 0, "", "", "", False, 0.0, 0, 0, 0, 0, 0.0, 0)


def _columns(episode: EpisodeFacts) -> dict[str, Any]:
    return {
        "sample": episode.sample,
        "trial": episode.trial,
        "kind": episode.kind,
        "outcome": episode.outcome,
        "success": episode.success,
        "reward": round(episode.reward, 4),
        "steps": episode.steps,
        "calls": episode.calls,
        "tokens": episode.prompt_tokens + episode.completion_tokens,
        "seconds": round(episode.seconds, 2),
        "paths": episode.attempts,
        **{
            name: episode.failures.get(name, 0)
            for name in ("format_error", "invalid_action", "hallucinated_object", "loop")
        },
    }


def _threshold(row: Row, episodes: Sequence[EpisodeFacts]) -> float:
    """The reward from which a path is a success: as the cell's plan says."""
    try:
        return Plan.read(row.directory).success_threshold
    except (OSError, UserError):
        return min((episode.reward for episode in episodes if episode.success), default=1.0)


def _folder_names(rows: Sequence[Row]) -> list[str]:
    """The cells' names, fit for a folder and an address, made unique."""
    names: list[str] = []
    for row in rows:
        name = re.sub(r"[^A-Za-z0-9._-]", "_", row.directory.name).lstrip(".") or "cell"
        number = 2
        unique = name
        while unique in names:
            unique, number = f"{name}-{number}", number + 1
        names.append(unique)
    return names
