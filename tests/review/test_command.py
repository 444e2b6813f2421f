from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentx.errors import ConfigError
from agentx.review.settings import ReviewSettings

ROOT = Path(__file__).parents[2]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "run.py", "job=review", "job.serve=false", *options],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip


def test_without_the_page_it_sums_up(made: Path, tmp_path: Path) -> None:
    done = run(f"job.files=[{made}]", f"paths.output={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert "0 accepted, 0 edited, 0 rejected, 3 open" in done.stdout
    assert (tmp_path / "review" / "made.reviewed.jsonl").read_text() == ""


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    done = run(f"job.files=[{tmp_path}/none.jsonl]")
    assert done.returncode == 1 and "does not exist" in done.stderr and "Traceback" not in done.stderr


def test_nothing_to_review_is_one_line(tmp_path: Path) -> None:
    done = run(f"paths.output={tmp_path}")
    assert done.returncode == 2 and "name the trajectories" in done.stderr and "Traceback" not in done.stderr


def test_without_files_it_is_what_was_constructed(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "constructed"
    folder.mkdir(parents=True)
    shutil.copy(made, folder / "made.jsonl")
    (folder / "none-kept.jsonl").touch()
    done = run(f"paths.output={tmp_path}/out")
    assert done.returncode == 0 and "0 accepted, 0 edited, 0 rejected, 3 open" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [({"files": ["a"], "mode": "compare"}, "exactly two"),
     ({"files": ["a"], "mode": "rank"}, "judge or compare"), ({"files": ["a"], "port": 70000}, "65535"),
     ({"files": ["a"], "accepted_by": 0}, "at least 1")],
)  # fmt: skip
def test_options_that_do_not_fit(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ReviewSettings(**options)  # type: ignore[arg-type]
