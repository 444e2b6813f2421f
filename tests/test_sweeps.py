"""Sweeps as users run them: launchers, Ctrl-C, kill -9, several machines over one directory."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import program
import pytest
from program import ROOT

SMALL = [*program.SMALL, "task.max_rounds=3", "evaluation.concurrency=1", "sweep.dead_after=5"]


def command(output: Path, *arguments: str, **options: str) -> list[str]:
    return program.command(output, "-m", *arguments, **options)


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        list(arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # where the suite runs in the background
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> str:
    text, _ = process.communicate(timeout=550)
    return text


def wait_until(process: subprocess.Popen[str], reached) -> None:
    while process.poll() is None and not reached():
        time.sleep(0.01)


def episodes(output: Path) -> dict[str, Counter[tuple[str, int]]]:
    """How often each episode stands in each cell's file, as written."""
    found = {}
    for path in sorted((output / "cells").glob("*/episodes.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        found[path.parent.name] = Counter((line["sample"], line["trial"]) for line in lines)
    return found


LAUNCHERS = {
    "joblib": ("hydra_plugins.hydra_joblib_launcher", ["hydra.launcher.n_jobs=2"]),
    "submitit_local": ("hydra_plugins.hydra_submitit_launcher", ["hydra.launcher.timeout_min=9"]),
    "ray": ("hydra_plugins.hydra_ray_launcher", []),
}
CELLS = "hydra.sweeper.cells=['method=io,react','method=cot model.source=/no/such/model']"


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_failing_cell_stops_no_other_whatever_launches(launcher, tmp_path):
    """Two cells that share an adapter, which is made once, and one that cannot run."""
    package, options = LAUNCHERS[launcher]
    if importlib.util.find_spec("hydra_plugins") is None or importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    sizes = [*SMALL, "tuning.steps=2"]
    process = start(*command(tmp_path, f"hydra/launcher={launcher}", *options, CELLS, *sizes))
    text = finish(process)
    assert process.returncode == 1, text
    assert "2 of 3 jobs passed, 1 failed" in text, text
    assert text.count("adapter tuned in") <= 1, text
    assert len(list((tmp_path / "adapters").glob("*/adapter"))) == 1
    assert all(set(counts.values()) == {1} and len(counts) == 3 for counts in episodes(tmp_path).values())
    (failed,) = (tmp_path / "cells").glob("failed-*")
    assert "no such directory" in (failed / "run.log").read_text()
    assert "Traceback" in (failed / "traceback.txt").read_text()


def test_ctrl_c_during_tuning_keeps_the_step_and_names_what_is_left(tmp_path):
    arguments = command(tmp_path, "lambda=0.2,0.8", "tuning.steps=300", "tuning.log_every=1", *SMALL)
    process = start(*arguments)
    wait_until(process, lambda: any(path.stat().st_size for path in tmp_path.glob("adapters/*/metrics.csv")))
    process.send_signal(signal.SIGINT)
    text = finish(process)
    assert process.returncode == 130, text
    assert "Interrupted. What is finished is kept" in text and "0 of 2 jobs passed, 2 skipped" in text
    assert "Traceback" not in text
    (checkpoint,) = tmp_path.glob("adapters/*/checkpoint/last.ckpt")
    assert checkpoint.stat().st_size
    assert not list(tmp_path.rglob(".*.claim")), "nothing is left claimed"


def test_ctrl_c_during_evaluation_keeps_the_finished_episodes(tmp_path):
    arguments = command(tmp_path, "method=io,react", "tuning=none", *SMALL, "task.max_rounds=12", "task.samples=8")
    process = start(*arguments)
    wait_until(process, lambda: any(path.stat().st_size for path in tmp_path.glob("cells/*/episodes.jsonl")))
    process.send_signal(signal.SIGINT)
    text = finish(process)
    if process.returncode == 0:
        pytest.skip("the sweep was over before the signal came")
    assert process.returncode == 130, text
    kept = episodes(tmp_path)
    again = start(*arguments)
    assert "2 of 2 jobs passed" in finish(again) and again.returncode == 0
    assert all(set(counts.values()) == {1} and len(counts) == 8 for counts in episodes(tmp_path).values())
    assert all(counts <= episodes(tmp_path)[name] for name, counts in kept.items())


def test_machines_share_the_cells_of_a_sweep_and_one_of_them_dies(tmp_path):
    """Two machines run the same command; the first is killed while it plays, the second takes its cell over."""
    options = ["method=io,react,cot", "seed=0,1", "tuning=none", *SMALL, "task.max_rounds=8"]
    first = start(*command(tmp_path, *options, host="machine-a", folder="a"))
    wait_until(first, lambda: any(path.stat().st_size for path in tmp_path.glob("cells/*/episodes.jsonl")))
    second = start(*command(tmp_path, *options, host="machine-b", folder="b"))
    wait_until(first, lambda: any((tmp_path / "b").rglob("job.json")))
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    text = finish(second)
    assert second.returncode == 0, text
    done = episodes(tmp_path)
    assert len(done) == 6
    assert all(set(counts.values()) == {1} and len(counts) == 3 for counts in done.values()), done
