"""Cells: directories named by what was measured, so that nothing is ever done twice or mistaken for something else.

A cell's name ends in the hash of its identity: everything that can change its result (model weights, data, prompts,
settings, seeds) and nothing that cannot (loggers, concurrency, output folders).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from agentx.config import Config
from agentx.errors import UserError

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
_WHOLE, _END = 1 << 26, 1 << 20
"""bytes: a file up to here counts whole, of a longer one this much from either end"""
RECORDED_PACKAGES = (
    *("agentx", "torch", "transformers", "tokenizers", "peft", "pytorch-lightning", "datasets", "numpy"),
    *("textworld", "alfworld", "openai", "vllm"),
)


def plain(value: Any) -> Any:
    """Settings as JSON values; paths become strings."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def fingerprint(identity: Any) -> str:
    """Ten hexadecimal digits of the identity's SHA-256, independent of key order."""
    text = json.dumps(plain(identity), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def file_fingerprint(paths: Iterable[Path]) -> str:
    """Hash over the names and contents of files, whatever their order."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:10]


def sources_fingerprint(task: Any, paths: Any) -> str | None:
    """Hash of the files of the user's that `task` (its settings) takes samples from; None where it takes none.

    Of files longer than 64 MiB the size and both ends count: reading gigabytes would delay every start. Missing files
    count for nothing here, the task itself names them.
    """
    patterns = task.sources() if hasattr(task, "sources") else []
    if not patterns:
        return None
    digest = hashlib.sha256()
    for option, pattern in patterns:
        given = getattr(paths, option) if option else Path(pattern).parent
        found = [] if given is None else sorted(given.glob(pattern if option else Path(pattern).name))
        for path in found:
            if path.is_file():
                digest.update(os.path.relpath(path, given).encode() + b"\0" + _content(path) + b"\0")
    return digest.hexdigest()[:10]


def _content(path: Path) -> bytes:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _WHOLE:
            return file.read()
        first = file.read(_END)
        file.seek(-_END, os.SEEK_END)
        return b"%d" % size + first + file.read()


def prompts_fingerprint(task: str) -> str:
    """Hash of every prompt file that an episode of `task` can see: a changed prompt is a different cell."""
    folders = (ROOT / "agentx" / "tasks" / task, ROOT / "agentx" / "reasoning")
    return file_fingerprint(path for folder in folders for path in folder.glob("*.yaml"))


def code_fingerprint(task: str) -> str:
    """Hash of the task's code: generated samples come from it, and so do their experts' episodes."""
    return file_fingerprint((ROOT / "agentx" / "tasks" / task).glob("*.py"))


def open_cell(config: Config, folder: str, label: str, identity: Mapping[str, Any]) -> Path:
    """The cell's directory, made if need be, with config.yaml, identity.json and provenance.json in it.

    Raises UserError when the directory cannot be written.
    """
    directory = config.paths.output / folder / f"{label}-{fingerprint(identity)}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write_once(directory / "identity.json", json.dumps(plain(identity), indent=1, sort_keys=True))
        _write_once(directory / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(config.resolved), sort_keys=False))
        _write_once(directory / "provenance.json", json.dumps({**provenance(), "hashes": hashes(identity)}, indent=1))
    except OSError as error:
        reason = f"cannot write {error.filename or directory} ({error.strerror})"
        raise UserError(f"paths.output={config.paths.output}: {reason}") from error
    return directory


def record_task(directory: Path, about: Mapping[str, Any]) -> None:
    """task.json: what the task's episodes start from on this machine, for tasks that depend on it. Warns where the
    cell's earlier episodes started from something else."""
    text = json.dumps(plain(about), indent=1, sort_keys=True)
    path = directory / "task.json"
    _write_once(path, text)
    if path.read_text(encoding="utf-8") != text:
        log.warning("warning: %s: the cell's earlier episodes started from another system than this one", path)


def hashes(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What weights, chat template, prompts, adapter and data a cell was made with, each as a short text."""
    adapter = identity.get("adapter") or {}
    made_of = {**{name: adapter[name] for name in ("agent", "general") if name in adapter}, **identity}
    names = ("weights", "template", "prompts", "sources", "agent", "general")
    known = {name: made_of[name] for name in names if isinstance(made_of.get(name), str)}
    return {"cell": fingerprint(identity), **known, "adapter": fingerprint(adapter) if adapter else None}


def _write_once(path: Path, text: str) -> None:
    """Write whole or not at all; what an earlier run recorded stays."""
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{fingerprint(text)}")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)


@lru_cache(maxsize=1)
def provenance() -> dict[str, Any]:
    """Which code, packages and machine made a cell. The diff itself is kept so that the run can be repeated."""
    versions = {}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    diff = _git("diff", "HEAD")
    return {
        "git_commit": _git("rev-parse", "HEAD"),
        "git_diff": diff if diff is None or len(diff) < 1_000_000 else f"{len(diff)} characters, not kept",
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
        "command": sys.argv,
    }


def _git(*arguments: str) -> str | None:
    """Output of git in this checkout; None where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
