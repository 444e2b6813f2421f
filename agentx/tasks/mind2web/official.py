"""Mind2Web's own data: JSON lists of tasks, one sample per action."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agentx.tasks.environment import TaskDataError
from agentx.tasks.mind2web.samples import WebStep
from agentx.tasks.mind2web.score_file import read_ranks
from agentx.tasks.mind2web.settings import SCORE_FILE, split_folders
from agentx.tasks.record_stream import stream_list

_LONGEST_TASK = 1 << 29
"""characters; a recorded task holds a page for each of its actions"""


def read_split(root: Path | None, split: str, limit: int | None) -> list[WebStep]:
    """The first `limit` steps of a split (None: all), without ranks. Files in the order of their names.

    AgentBench's splits lie in data_dev and data_std, Mind2Web's in a folder of the split's name or data/ of it.
    Raises TaskDataError for missing or broken data, naming file, record and field.
    """
    if root is None:
        raise TaskDataError("task.source=official: set paths.mind2web to the folder of Mind2Web's data")
    found: list[WebStep] = []
    known: set[str] = set()
    for path in _files(root, split):
        for step in _steps(path):
            if step.id in known:
                raise TaskDataError(f"{step.where}, field action_uid: {step.id} was there before; remove one of them")
            known.add(step.id)
            found.append(step)
            if len(found) == limit:
                return found
    if not found:
        raise TaskDataError(f"{root}: split {split} holds no action; download the data anew")
    return found


def with_official_ranks(steps: list[WebStep], root: Path) -> list[WebStep]:
    """Raises TaskDataError where a candidate has no rank."""
    path = root / SCORE_FILE
    ranks = read_ranks(path)
    ranked = []
    for step in steps:
        row = ranks.get(step.id, {})
        for node in (*step.positives, *step.negatives):
            if node not in row:
                raise TaskDataError(f"{path}, record {step.id}: no rank of node {node}; use task.scores=own")
        ranked.append(replace(step, ranks=row))
    return ranked


def _files(root: Path, split: str) -> list[Path]:
    folders = [root / folder for folder in split_folders(split)]
    for folder in folders:
        files = sorted(folder.glob("*.json"))
        if files:
            return files
    tried = " or ".join(str(folder.relative_to(root)) for folder in folders)
    raise TaskDataError(f"paths.mind2web={root}: no *.json in {tried}; download Mind2Web's data for split {split}")


def _steps(path: Path) -> Iterator[WebStep]:
    for number, task in stream_list(path, "tasks", first=0, longest=_LONGEST_TASK):
        where = f"{path}, record {number}"
        actions = _field(task, "actions", list, where)
        reprs = _field(task, "action_reprs", list, where)
        if not all(isinstance(text, str) for text in reprs):
            raise TaskDataError(f"{where}, field action_reprs: must be a list of texts")
        for index, action in enumerate(actions):
            here = f"{where}, action {index}"
            operation = _field(action, "operation", dict, here)
            yield WebStep(
                annotation_id=_field(task, "annotation_id", str, where),
                action_uid=_field(action, "action_uid", str, here),
                website=_field(task, "website", str, where),
                task=_field(task, "confirmed_task", str, where),
                previous=tuple(reprs[:index]),
                in_words=reprs[index] if index < len(reprs) else "",
                steps=len(actions),
                operation=_field(operation, "op", str, here),
                value=_field(operation, "value", str, here),
                positives=_nodes(action, "pos_candidates", here),
                negatives=_nodes(action, "neg_candidates", here),
                html=_field(action, "cleaned_html", str, here),
                where=here,
            )


def _nodes(action: Any, field: str, where: str) -> tuple[str, ...]:
    return tuple(
        _field(candidate, "backend_node_id", str, f"{where}, {field} {number}")
        for number, candidate in enumerate(_field(action, field, list, where))
    )


def _field(record: Any, name: str, kind: type, where: str) -> Any:
    value = record.get(name) if isinstance(record, Mapping) else None
    if not isinstance(value, kind):
        given = "missing" if value is None else f"is {type(value).__name__}"
        raise TaskDataError(f"{where}, field {name}: {given}, must be {kind.__name__}; download the file anew")
    return value
