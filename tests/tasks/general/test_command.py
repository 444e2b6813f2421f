"""`task=general` as users run it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def run(output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "run.py"), "task=general", "model=tiny", "tuning=none", *arguments]
    command += ["method.max_tokens.action=8", f"paths.output={output}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)


def test_the_suite_is_asked_scored_by_skill_and_reported(tmp_path: Path) -> None:
    done = run(tmp_path, "task.samples=40")
    assert done.returncode == 0, done.stderr
    for part in ("general (generated)", "io (g)", "Metrics of general", "accuracy_macro", "arithmetic"):
        assert part in done.stdout, done.stdout
    (cell,) = (tmp_path / "cells").iterdir()
    summary = json.loads((cell / "summary.json").read_text())
    assert summary["n"] == 40 and len(summary["by_kind"]) > 30
    assert summary["failures"]["format_error"]["steps"] == 0
    assert summary["task_metrics"]["accuracy_micro"] == summary["reward"]["value"]
    report = (tmp_path / "report" / "report.md").read_text().replace("\\", "")
    assert "Kinds of general (generated)" in report and "copy_list" in report


def test_questions_of_ones_own_and_a_bad_record_of_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"question": "Say egg 2.", "answer": "egg 2"}\n{"question": "Say mug 3.", "answer": "mug 3"}\n')
    done = run(tmp_path, f"task.path={path}")
    assert done.returncode == 0, done.stderr
    assert "general (mine.jsonl)" in done.stdout
    path.write_text('{"question": "Say egg 2.", "answer": "egg 2"}\n{"question": "Say mug 3."}\n')
    done = run(tmp_path, f"task.path={path}")
    assert done.returncode == 1
    assert "mine.jsonl: record 2, field answer: must be a text or a number" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
