"""The household task: its samples, environments, prompts and scores."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

from rich.console import Console
from rich.progress import track

from agentx.conversation import Message
from agentx.tasks.environment import Sample, TaskDataError
from agentx.tasks.household import games, layouts, official, plan, prompts, room
from agentx.tasks.household.environment import HouseholdEnvironment, Player
from agentx.tasks.household.settings import Settings
from agentx.tasks.household.text_versions import prompt_in
from agentx.trajectory import Trajectory

_LABELS = {"dev": "dev", "standard": "std"}
_INDEX = "games.json"


class Paths(Protocol):
    """Where data are; each may be None where it is not needed."""

    @property
    def alfworld(self) -> Path | None: ...
    @property
    def agentbench(self) -> Path | None: ...
    @property
    def output(self) -> Path | None: ...


@dataclass(frozen=True)
class HouseholdTask:
    """Satisfies `agentx.tasks.environment.Task`."""

    settings: Settings
    label: str
    samples: Sequence[Sample]
    files: dict[str, Path]
    """game file by sample id"""
    name: str = "household"
    success_threshold: float = 1.0

    def opening(self, sample: Sample, style: str, shots: int) -> list[Message]:
        messages = prompts.opening(sample.kind, style, shots, self.settings.prompt)
        return prompt_in(self.settings.text, messages)

    async def open(self, sample: Sample) -> HouseholdEnvironment:
        return HouseholdEnvironment(_player(self.files[sample.id]), self.settings)

    def statements(self) -> dict[str, str]:
        """What each game shows first, room and task, by its id: to find evaluation games among training data."""
        shown = {}
        for name, path in self.files.items():
            player = _player(path)()
            shown[name] = player.reset().feedback
            player.close()
        return shown

    def aggregate(self, trajectories: Sequence[Trajectory]) -> dict[str, float]:
        """Success rate over all results (AgentBench), and within each task type that occurs."""
        kinds = {sample.id: sample.kind for sample in self.samples}
        won: dict[str, list[bool]] = {}
        for trajectory in trajectories:
            success = trajectory.reward >= self.success_threshold
            for key in ("success_rate", f"success_rate/{kinds[trajectory.sample]}"):
                won.setdefault(key, []).append(success)
        return {key: sum(values) / len(values) for key, values in sorted(won.items())}


def make_task(settings: Settings, paths: Paths) -> HouseholdTask:
    """The task as configured. Generates games where they are not on disk yet.

    Raises TaskDataError when official data are missing or broken, naming the path to set.
    """
    return _official(settings, paths) if settings.source == "official" else _generated(settings, paths)


def _official(settings: Settings, paths: Paths) -> HouseholdTask:
    if settings.split in _LABELS:
        found = official.listed_games(paths.alfworld, paths.agentbench, settings.split)
    else:
        found = official.split_games(paths.alfworld, settings.split)
    wanted = [game for game in found if game.task_type in settings.task_types]
    if not wanted:
        raise TaskDataError(f"task.split={settings.split} has no game of the types {', '.join(settings.task_types)}")
    chosen = official.evenly(wanted, settings.samples)
    part = "" if len(chosen) == len(found) else f", {len(chosen)} of {len(found)}"
    return HouseholdTask(
        settings,
        label=f"ALFWorld ({_LABELS.get(settings.split, settings.split)}{part})",
        samples=[Sample(game.id, "planning", settings.split, game.task_type) for game in chosen],
        files={game.id: game.path for game in chosen},
    )


def _generated(settings: Settings, paths: Paths) -> HouseholdTask:
    folder = (paths.output or Path("outputs")) / "games" / _fingerprint(settings)
    if not (folder / _INDEX).is_file():
        _generate(settings, folder)
    try:
        records = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        samples = [
            Sample(record["id"], "planning", settings.split, record["kind"], record["metadata"]) for record in records
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TaskDataError(f"{folder / _INDEX}: unreadable; delete the folder to generate its games again") from error
    files = {sample.id: folder / sample.id / "game.tw-pddl" for sample in samples}
    return HouseholdTask(settings, "household (generated)", samples, files)


def _generate(settings: Settings, folder: Path) -> None:
    """Fill `folder`, all or nothing: two processes that generate the same games at once do no harm."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
    try:
        index = []
        for name, made, game in _with_progress(settings):
            (scratch / name).mkdir()
            (scratch / name / "game.tw-pddl").write_text(json.dumps(game), encoding="utf-8")
            metadata = {
                "floor_plan": made.floor_plan,
                "receptacles": len(made.receptacles),
                "objects": len(made.items),
                "plan_length": len(game["walkthrough"]),
            }
            index.append({"id": name, "kind": made.task_type, "metadata": metadata})
        (scratch / _INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
        os.chmod(scratch, 0o755)
        try:
            os.rename(scratch, folder)
        except OSError:
            if not (folder / _INDEX).is_file():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _with_progress(settings: Settings) -> Iterator[tuple[str, room.Room, dict[str, Any]]]:
    count = settings.samples or 0
    made = games.generate_games(
        cast(layouts.Split, settings.split),
        count,
        settings.seed,
        settings.task_types,
        settings.receptacles,
        settings.objects,
    )
    console = Console(stderr=True)
    yield from track(made, "generating household games", total=count, console=console, disable=not sys.stderr.isatty())


def _fingerprint(settings: Settings) -> str:
    """Names what the games depend on: the settings that shape them, the generator's code and ALFWorld's data."""
    shape = [
        settings.split,
        settings.samples,
        settings.seed,
        settings.task_types,
        settings.receptacles,
        settings.objects,
    ]
    digest = hashlib.blake2b(json.dumps(shape).encode(), digest_size=8)
    generator: tuple[ModuleType, ...] = (games, layouts, plan, room)
    for module in generator:
        digest.update(inspect.getsource(module).encode())
    for text in games.domain_and_grammar():
        digest.update(text.encode())
    return f"{settings.split}-{digest.hexdigest()}"


def _player(path: Path) -> Callable[[], Player]:
    def load() -> Player:
        from agentx.tasks.household.engine import Engine  # textworld takes a second to import

        return Engine(official.read_game(path))

    return load
