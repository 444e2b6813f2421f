"""run.py as users start it: a process of its own, in sizes that a test has time for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SMALL = [
    "tuning.batch_size=4",
    "tuning.rank=4",
    "data.experts_size=12",
    "data.skills_size=12",
    "task.samples=3",
    "method.max_tokens.action=16",
]
ON_MACHINE = """
import runpy, socket
socket.gethostname = lambda: {host!r}
runpy.run_path({program!r}, run_name="__main__")
"""


def command(output: Path, *arguments: str, host: str | None = None, folder: str = "sweep") -> list[str]:
    """Results go to `output`, a sweep's records to `folder` in it; `host` is what the machine takes itself for."""
    program = str(ROOT / "run.py")
    start = [program] if host is None else ["-c", ON_MACHINE.format(host=host, program=program)]
    return [sys.executable, *start, *arguments, f"paths.output={output}", f"hydra.sweep.dir={output}/{folder}"]


def run(output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(output, *arguments), cwd=ROOT, capture_output=True, text=True, timeout=550)
