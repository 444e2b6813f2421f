"""The whole program as users run it: processes, small sizes, the real engine and the shipped checkpoint."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import program
import pytest
from program import ROOT, command, run

SMALL = [*program.SMALL, "tuning.steps=3", "task.max_rounds=4"]


def cells(output: Path) -> list[Path]:
    return sorted(path.parent for path in (output / "cells").glob("*/summary.json"))


def score(cell: Path) -> dict:
    """The summary without what depends on the machine, and without what was spent: a run that is killed has also paid
    for the calls of the episodes it did not finish."""
    summary = json.loads((cell / "summary.json").read_text())
    summary.pop("timing")
    summary.pop("spending")
    return summary


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One finished experiment, shared by the tests that look at it."""
    output = tmp_path_factory.mktemp("experiment")
    return output, run(output, *SMALL)


def test_an_experiment_tunes_evaluates_and_prints_the_table(finished):
    output, done = finished
    assert done.returncode == 0, done.stderr
    for part in ("household (generated)", "success %", "react (g)", "report.html", "trajectories", "realised λ"):
        assert part in done.stdout, done.stdout
    (cell,) = cells(output)
    assert score(cell)["n"] == 3 and score(cell)["complete"]
    assert {"config.yaml", "provenance.json", "identity.json", "episodes.jsonl"} <= {p.name for p in cell.iterdir()}
    (adapter,) = (output / "adapters").glob("*/adapter")
    card = json.loads((adapter / "agentx.json").read_text())
    assert card["agent_ratio"] == 0.5 and 0 < card["realised"]["lambda_tokens"] < 1
    assert (adapter / "adapter_model.safetensors").exists()
    assert "loss" in next((output / "adapters").glob("*/metrics.csv")).read_text().splitlines()[0]


def test_the_same_command_again_does_nothing_twice(finished):
    output, _ = finished
    (cell,) = cells(output)
    before = (cell / "episodes.jsonl").read_bytes(), (cell / "summary.json").read_bytes()
    again = run(output, *SMALL)
    assert again.returncode == 0, again.stderr
    assert "adapter found" in again.stdout
    assert ((cell / "episodes.jsonl").read_bytes(), (cell / "summary.json").read_bytes()) == before


def test_other_methods_share_the_adapter_and_a_failing_job_stops_no_other(finished):
    output, _ = finished
    done = run(output, "-m", "method=io,react", "task.max_rounds=4,5", *(s for s in SMALL if "rounds" not in s))
    assert done.returncode == 0, done.stderr + done.stdout
    assert "3 of 4 jobs passed, 1 skipped" in done.stdout and "finished earlier" in done.stdout
    assert len(list((output / "adapters").glob("*/adapter"))) == 1
    assert len(cells(output)) == 4
    broken = output / "no-such-model"
    failing = run(output, "-m", f"model.source=null,{broken}", "tuning=none", *SMALL)
    assert failing.returncode == 1
    assert "1 of 2 jobs passed, 1 failed" in failing.stdout
    assert f"model.source={broken}: no such directory" in failing.stdout
    (failed,) = (output / "cells").glob("failed-*")
    assert "no such directory" in (failed / "run.log").read_text()
    assert "Traceback" in (failed / "traceback.txt").read_text()
    assert "Traceback" not in failing.stderr


def test_killed_at_any_moment_the_same_command_finishes_the_rest(finished, tmp_path):
    """kill -9 during the evaluation; the summary then equals that of an uninterrupted run."""
    whole, _ = finished
    arguments = [*SMALL, "evaluation.concurrency=1", "tuning=none"]
    assert run(whole, *arguments).returncode == 0
    process = subprocess.Popen(
        command(tmp_path, *arguments), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        written = [path for path in tmp_path.glob("cells/*/episodes.jsonl") if path.stat().st_size]
        if written:
            os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.002)
    process.wait()
    assert run(tmp_path, *arguments).returncode == 0
    (cell,) = cells(tmp_path)
    reference = whole / "cells" / cell.name
    assert score(cell) == score(reference)


def test_a_report_over_everything_that_was_run(finished):
    output, _ = finished
    done = run(output, "job=report")
    assert done.returncode == 0, done.stderr
    assert (output / "report" / "report.html").stat().st_size > 1000
    assert "household (generated)" in (output / "report" / "report.md").read_text()


def test_evaluating_what_was_never_tuned_says_what_to_do(tmp_path):
    done = run(tmp_path, "job=evaluate", *SMALL)
    assert done.returncode == 1
    assert "run job=tune or job=experiment" in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_a_model_that_is_not_here_names_the_licence_and_the_local_path(tmp_path):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        command(tmp_path, "model=llama2-7b", "tuning=none", *SMALL),
        cwd=ROOT, capture_output=True, text=True, env=environment, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-1]
    for part in ("llama2-7b", "huggingface.co/meta-llama/Llama-2-7b-chat-hf", "model.source=/"):
        assert part in message, done.stderr


def test_an_official_kind_of_model_is_tuned_and_evaluated_by_the_same_code(random_llama, tmp_path):
    """Random weights in a directory, the Llama-2 chat template, worked example and admissible commands."""
    source = random_llama(tmp_path / "llama", positions=4096)
    smaller = ["task.samples=2", "task.max_rounds=2", "tuning.steps=2", "data.experts_size=6"]
    sizes = [*(s for s in SMALL if s.split("=")[0] not in {t.split("=")[0] for t in smaller}), *smaller]
    done = run(tmp_path / "out", "model=llama2-7b", f"model.source={source}", "tuning.max_length=4096", *sizes)
    assert done.returncode == 0, done.stderr
    (cell,) = cells(tmp_path / "out")
    assert score(cell)["n"] == 2 and not score(cell)["infrastructure_errors"]
    first = json.loads((cell / "episodes.jsonl").read_text().splitlines()[0])
    opening = first["paths"][0]["opening"]
    assert [message["role"] for message in opening][:2] == ["user", "assistant"] and len(opening) > 3
    assert "AVAILABLE ACTIONS" in opening[-1]["content"]
    card = json.loads(next((tmp_path / "out" / "adapters").glob("*/adapter/agentx.json")).read_text())
    assert card["template"] == "llama2" and card["source"] == str(source)


def test_two_devices_share_tuning_and_episodes_and_one_of_them_speaks(tmp_path):
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    done = run(tmp_path, *two, *SMALL)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("report.html") == 1
    (cell,) = cells(tmp_path)
    assert score(cell)["n"] == 3 and score(cell)["complete"]
