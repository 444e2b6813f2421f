"""The page that `run.py --help` prints.

Hydra can print one from a template, but composes every choice of every group for it, which takes as long again as
everything else.
"""

from __future__ import annotations

from pathlib import Path
from string import Template

CONF = Path(__file__).resolve().parents[2] / "conf"


def usage() -> str:
    """The page, with the choices of each group as they lie in conf/."""
    text = Path(__file__).with_name("usage.txt").read_text(encoding="utf-8")
    return Template(text).substitute(
        GROUPS="\n".join(f"  {name}: {', '.join(found)}" for name, found in groups().items())
    )


def groups() -> dict[str, list[str]]:
    """The choices of each config group, both in alphabetical order."""
    folders = sorted(path for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")
    return {folder.name: sorted(path.stem for path in folder.glob("*.yaml")) for folder in folders}
