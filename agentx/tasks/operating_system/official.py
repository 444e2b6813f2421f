"""AgentBench's os_interaction problems, read from the user's checkout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agentx.tasks.environment import TaskDataError
from agentx.tasks.operating_system.problems import Problem, Script


def read_problems(agentbench: Path | None, split: str) -> list[Problem]:
    """`split` is dev or standard. `agentbench` is the data folder that holds os_interaction.

    Raises TaskDataError naming what is missing: the folder, a data file, or a script that a sample names.
    """
    if agentbench is None:
        raise TaskDataError(
            "task.source=official: needs AgentBench's data; set paths.agentbench to its checkout's data folder, "
            "or use task.source=generated"
        )
    folder = agentbench / "os_interaction"
    problems: list[Problem] = []
    for name, path, scripts in _files(folder, split):
        try:
            records = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise TaskDataError(f"{path}: unreadable ({error}); check paths.agentbench") from error
        if isinstance(records, dict):
            records = [records]
        for number, record in enumerate(records):
            identity = f"{name}-{number:03d}"
            try:
                problems.append(_problem(identity, record, scripts))
            except (KeyError, TypeError, AttributeError) as error:
                raise TaskDataError(f"{path}: record {number} is not an os_interaction sample ({error!r})") from error
    return problems


def _files(folder: Path, split: str) -> list[tuple[str, Path, Path]]:
    if split == "dev":
        return [("dev", folder / "data" / "dev.json", folder / "scripts" / "dev")]
    found = [
        (f"std-{number}-{path.stem}", path, folder / "scripts" / str(number))
        for number in range(1, 8)
        for path in sorted((folder / "data" / str(number)).glob("*.json"))
    ]
    if not found:
        raise TaskDataError(f"{folder / 'data'}: has no folders 1 to 7 with problems; check paths.agentbench")
    return found


def _problem(identity: str, record: dict[str, Any], scripts: Path) -> Problem:
    evaluation = record["evaluation"]
    create = record.get("create")
    # A bare list is read by AgentBench as a creation without set-up.
    init = create.get("init") if isinstance(create, dict) else None
    match, pattern = evaluation.get("match"), None
    if isinstance(match, dict):
        pattern, match = match.get("regex"), match.get("answer")
    checks = evaluation.get("check", [])
    example = evaluation.get("example")
    needs_example = isinstance(checks, list) and None in checks
    found = Problem(
        id=identity,
        kind="/".join(record.get("labels", [])) or "unlabelled",
        description=record["description"],
        init=tuple(_script(entry, scripts, identity) for entry in _several(init)),
        start=_script(record["start"], scripts, identity).code if record.get("start") else "",
        match=None if pattern is not None else match,
        pattern=pattern,
        checks=tuple(None if entry is None else _script(entry, scripts, identity) for entry in _several(checks)),
        example=_script(example, scripts, identity) if example and needs_example else None,
    )
    if found.match is None and found.pattern is None and not found.checks:
        raise TypeError("no match and no check")
    return found


def _several(entry: Any) -> list[Any]:
    if entry is None:
        return []
    return entry if isinstance(entry, list) else [entry]


def _script(entry: Any, scripts: Path, identity: str) -> Script:
    if isinstance(entry, str):
        return Script(entry)
    language = entry.get("language", "bash")
    if language not in ("bash", "python"):
        raise TaskDataError(f"sample {identity}: scripts in {language} are not known, only bash and python")
    if "code" in entry:
        return Script(entry["code"], language)
    path = scripts / entry["file"]
    try:
        return Script(path.read_text(encoding="utf-8"), language)
    except OSError as error:
        raise TaskDataError(
            f"sample {identity}: needs {path}, which is not there; AgentBench's checkout has it beside the data"
        ) from error
