"""What is reviewed: conversations with what verification said of them, alone or in pairs of one sample."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agentx.errors import UserError
from agentx.evaluation.store import ResultStore
from agentx.trajectory import Trajectory

ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
EPISODES = "episodes.jsonl"


@dataclass(frozen=True)
class Turn:
    """One message; `notes` say what verification found about it."""

    role: str
    text: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Item:
    """One trajectory. `key` names it in the file of decisions, `sample` the problem it is an attempt at."""

    key: str
    sample: str
    task: str
    turns: tuple[Turn, ...]
    facts: dict[str, str] = field(default_factory=dict)
    """what is known of it: verification, reward, teacher …"""
    record: dict[str, Any] | None = None
    """the line of the file it is from; None for an evaluated episode"""


@dataclass(frozen=True)
class Pair:
    """Two trajectories of the same sample, one of each file."""

    key: str
    sample: str
    task: str
    first: Item
    second: Item


def read_items(path: Path) -> list[Item]:
    """The trajectories in a file of conversations or a cell's directory, in their order.

    Raises UserError for a path that is neither, and for a line that holds no conversation.
    """
    if path.is_dir():
        if not (path / EPISODES).exists():
            raise UserError(f"job.files: {path} has no {EPISODES}; name a cell's directory or a file of conversations")
        items = [_episode(trajectory) for trajectory in ResultStore(path).trajectories()]
    elif path.exists():
        items = list(_conversations(path))
    else:
        raise UserError(f"job.files: {path} does not exist")
    if not items:
        raise UserError(f"job.files: {path} holds no trajectory")
    return _with_keys_of_their_own(items)


def pairs(first: list[Item], second: list[Item]) -> list[Pair]:
    """One pair of each sample that both files hold; further trajectories of it are left out. Raises UserError where
    they have no sample in common."""
    others: dict[str, Item] = {}
    for item in second:
        others.setdefault(item.sample, item)
    found: dict[str, Pair] = {}
    for item in first:
        other = others.get(item.sample)
        if other is not None and item.sample not in found:
            found[item.sample] = Pair(f"{item.key}|{other.key}", item.sample, item.task, item, other)
    if not found:
        raise UserError("job.files: the two have no sample in common, so there is nothing to compare")
    return list(found.values())


def _with_keys_of_their_own(items: list[Item]) -> list[Item]:
    seen: dict[str, int] = {}
    numbered = []
    for item in items:
        count = seen[item.key] = seen.get(item.key, 0) + 1
        numbered.append(item if count == 1 else replace(item, key=f"{item.key}#{count}"))
    return numbered


def _conversations(path: Path) -> Iterator[Item]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                yield _conversation(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise UserError(
                    f"{path}, line {number}: no conversation ({type(error).__name__}: {error}); expected an object "
                    'with "conversations" (from, value) or "messages" (role, content)'
                ) from error


def _conversation(record: dict[str, Any]) -> Item:
    messages = record["conversations"] if "conversations" in record else record["messages"]
    metadata = record.get("metadata") or {}
    about = iter(metadata.get("turns") or [])
    skipped = int(metadata.get("opening_turns", 0))
    turns = []
    for position, message in enumerate(messages):
        role = ROLES[message["from"] if "from" in message else message["role"]]
        text = message["value"] if "value" in message else message["content"]
        if not isinstance(text, str):
            raise TypeError(f"message {position + 1} has no text")
        notes = _notes(next(about, {})) if role == "assistant" and position >= skipped else ()
        turns.append(Turn(role, text, notes))
    task = str(metadata.get("task") or record.get("source") or "")
    digest = hashlib.blake2b(json.dumps([turn.text for turn in turns]).encode(), digest_size=6).hexdigest()
    key = f"{record.get('id', '')}:{digest}"
    sample = f"{task}/{record.get('id', digest)}"
    return Item(key, sample, task, tuple(turns), _facts(metadata), record)


def _notes(turn: dict[str, Any]) -> tuple[str, ...]:
    notes = []
    if turn.get("said"):
        notes.append(f"simulated reply, replaced: {turn['said']}")
    if turn.get("agrees") is False:
        notes.append(f"the real environment says: {turn.get('real')}")
    if turn.get("verdict") not in (None, "", "valid"):
        notes.append(f"action: {str(turn['verdict']).replace('_', ' ')}")
    return tuple(notes)


def _facts(metadata: dict[str, Any]) -> dict[str, str]:
    verdict = metadata.get("verdict") or {}
    named = {
        "verification": verdict.get("status"),
        "reason": verdict.get("reason"),
        "detail": verdict.get("detail"),
        "reward": verdict.get("reward"),
        "replies replaced": len(verdict.get("replaced") or []) or None,
        "contradictions": verdict.get("contradictions") or None,
        "teacher": metadata.get("teacher"),
        "environment": metadata.get("environment"),
        "kind": metadata.get("kind"),
    }
    return {name: str(value) for name, value in named.items() if value not in (None, "", {})}


def _episode(trajectory: Trajectory) -> Item:
    path = trajectory.paths[trajectory.selected] if trajectory.paths else None
    turns = []
    if path is not None:
        turns += [Turn(message["role"], message["content"]) for message in path.opening]
        for step in path.steps:
            notes = () if step.verdict.value == "valid" else (f"action: {step.verdict.value.replace('_', ' ')}",)
            turns.append(Turn("assistant", step.candidate.reply, notes))
            turns.append(Turn("user", step.observation))
    facts = {"outcome": trajectory.outcome.value, "reward": f"{trajectory.reward:g}"}
    key = f"{trajectory.sample}:{trajectory.trial}"
    return Item(key, key, str(trajectory.metadata.get("kind", "")), tuple(turns), facts)
