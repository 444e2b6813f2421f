"""Cells: directories named by what was measured, so that nothing is ever done twice or mistaken for something else.

A cell's name ends in the hash of its identity: everything that can change its result (model weights, data, prompts,
settings, seeds) and nothing that cannot (loggers, concurrency, output folders).
"""

from __future__ import annotations

import hashlib
import json
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

ROOT = Path(__file__).resolve().parents[2]
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


def prompts_fingerprint(task: str) -> str:
    """Hash of every prompt file that an episode of `task` can see: a changed prompt is a different cell."""
    folders = (ROOT / "agentx" / "tasks" / task, ROOT / "agentx" / "reasoning")
    return file_fingerprint(path for folder in folders for path in folder.glob("*.yaml"))


def open_cell(config: Config, folder: str, label: str, identity: Mapping[str, Any]) -> Path:
    """The cell's directory, made if need be, with config.yaml, identity.json and provenance.json in it.

    Raises UserError when the directory cannot be written.
    """
    directory = config.paths.output / folder / f"{label}-{fingerprint(identity)}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write_once(directory / "identity.json", json.dumps(plain(identity), indent=1, sort_keys=True))
        _write_once(directory / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(config.resolved), sort_keys=False))
        _write_once(directory / "provenance.json", json.dumps(provenance(), indent=1))
    except OSError as error:
        reason = f"cannot write {error.filename or directory} ({error.strerror})"
        raise UserError(f"paths.output={config.paths.output}: {reason}") from error
    return directory


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
