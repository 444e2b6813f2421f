"""Running a cell again: what is compared, and what is said of a difference."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agentx.jobs.reproduce import compare

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["task.samples=2", "method.max_tokens.action=24", "task.max_rounds=4", "tuning=none"]


def test_differences_name_the_place_and_both_values_in_order():
    ours = {"a": 1, "b": [1, {"c": "x"}], "seconds": 3}
    theirs = {"a": 2, "b": [1, {"c": "y"}, 4], "seconds": 5, "d": None}
    assert list(compare(ours, theirs)) == ["a: 1, now 2", 'b[1].c: "x", now "y"', "b: 2 entries, now 3"]


def test_equal_values_have_no_difference():
    assert not list(compare({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}))


def run(output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "run.py"), *arguments, f"paths.output={output}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=550)


@pytest.fixture(scope="module")
def cell(tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("original")
    done = run(output, *SMALL)
    assert done.returncode == 0, done.stderr
    (cell,) = (output / "cells").glob("household-*")
    return cell


def test_a_cell_is_reproduced_step_by_step_and_a_changed_step_is_found(cell, tmp_path):
    done = run(tmp_path, "job=reproduce", f"job.cell={cell}")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "reproduced, every step is the same" in done.stdout
    assert (tmp_path / "reproduced" / cell.name / "cells" / cell.name / "summary.json").exists()

    lines = (cell / "episodes.jsonl").read_text().splitlines()
    episode = json.loads(lines[0])
    episode["paths"][0]["steps"][0]["observation"] = "Something else."
    (cell / "episodes.jsonl").write_text("\n".join([json.dumps(episode), *lines[1:]]) + "\n")
    done = run(tmp_path, "job=reproduce", f"job.cell={cell}")
    assert done.returncode == 1
    assert "the first difference" in done.stderr and "paths[0].steps[0].observation" in done.stderr


def test_what_is_no_cell_is_refused_in_one_line(tmp_path):
    done = run(tmp_path, "job=reproduce", f"job.cell={tmp_path}")
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1 and "job.cell=" in done.stderr


def test_provenance_names_the_hashes_of_what_a_cell_is_made_of(cell):
    record = json.loads((cell / "provenance.json").read_text())
    assert {"cell", "weights", "template", "prompts", "adapter"} <= set(record["hashes"])
    assert cell.name.endswith(record["hashes"]["cell"])
