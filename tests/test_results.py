"""Frames for notebooks and exports, over cells as a run leaves them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml

import agentx
from agentx.errors import ConfigError, UserError
from agentx.evaluation.store import ResultStore
from agentx.evaluation.summary import Plan, summarise_cell
from agentx.export.inspect_log import write_inspect_log
from agentx.export.parquet import write_parquet
from agentx.jobs.settings import ExportSettings
from agentx.reports.collect import collect
from agentx.results import CALL_COLUMNS, CELL_COLUMNS, EPISODE_COLUMNS, STEP_COLUMNS
from agentx.trajectory import Candidate, ModelCall, Outcome, Purpose, Step, Trajectory, Verdict
from agentx.trajectory import Path as Attempt

ODD = "\ud800 \x00 <b> \u202e 漢"


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """One cell with a solved and a failed episode, one of them odd, and one that could not be played."""
    directory = tmp_path / "cells" / "a"
    store = ResultStore(directory)
    config = {"model": {"name": "tiny"}, "tuning": {"name": "none"}, "method": {"name": "react"}, "seed": 3}
    (directory / "config.yaml").write_text(yaml.safe_dump(config))
    samples = ["s0", "s/1", "s2"]
    Plan("household", "household (generated)", 1.0, [(sample, 0) for sample in samples]).write(directory)
    for sample, reward, words in (("s0", 1.0, "go to desk 1"), ("s/1", 0.0, ODD)):
        steps = [
            Step(i, [Candidate(words, words, words)], 0, f"seen {words}", reward, i == 1, Verdict.VALID, executed=words)
            for i in range(2)
        ]
        paths = [Attempt(0, [{"role": "user", "content": words}], [], steps, reward, Outcome.COMPLETED)]
        calls = [
            ModelCall(Purpose.ACT, "policy", 0, 0, 0, 2**64 - 1, words, 100, 40, 7, 0.5, "stop"),
            ModelCall(Purpose.ACT, "policy", 0, 1, 0, 5, words, 130, 90, 8, 0.5, "length"),
            ModelCall(Purpose.TASK_DONE, "judge", 0, 2, 0, 6, "Yes", 50, 0, 1, 0.1, "stop", paths[0].opening),
        ]
        store.append(
            Trajectory(sample, 0, paths, calls, 0, reward, reward == 1, Outcome.COMPLETED, metadata={"kind": "pick"})
        )
    store.append(Trajectory("s2", outcome=Outcome.INFRASTRUCTURE_ERROR, limit="server gone"))
    summarise_cell(directory)
    return tmp_path / "cells"


def test_frames_are_typed_and_complete(cells: Path) -> None:
    results = agentx.load_results(cells)
    assert list(results.episodes.columns) == [*CELL_COLUMNS, *EPISODE_COLUMNS]
    assert {name: str(kind) for name, kind in results.calls.dtypes.items()} == {**CELL_COLUMNS, **CALL_COLUMNS}
    assert {name: str(kind) for name, kind in results.steps.dtypes.items()} == {**CELL_COLUMNS, **STEP_COLUMNS}
    episodes = results.episodes.set_index("sample")
    assert episodes.success["s0"] and not episodes.success["s/1"] and episodes.success.isna()["s2"]
    assert episodes.limit["s2"] == "server gone" and episodes.prompt_tokens["s0"] == 280
    assert len(results.calls) == 6 and len(results.steps) == 4 and results.calls.seed.max() == 2**64 - 1
    assert results.cells.success_rate[0] == 0.5 and results.cells.n[0] == 2 and results.cells.expected[0] == 3
    assert results.steps.action[2] == "\\ud800 \x00 <b> \u202e 漢"


def test_nothing_there_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no evaluated cell"):
        agentx.load_results(tmp_path)


def test_frames_need_no_torch(cells: Path) -> None:
    program = f"import sys, agentx; agentx.load_results({str(cells)!r}); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_parquet_holds_what_the_frames_hold(cells: Path, tmp_path: Path) -> None:
    results = agentx.load_results(cells)
    for path, frame in zip(
        write_parquet(collect(cells), tmp_path / "x"), (results.episodes, results.calls), strict=True
    ):
        read = pd.read_parquet(path, dtype_backend="numpy_nullable")
        assert list(read.columns) == list(frame.columns) and len(read) == len(frame)
        for name in frame.columns:
            assert read[name].tolist() == frame[name].tolist(), name
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["calls.parquet", "episodes.parquet"]


def test_an_inspect_log_has_every_part(cells: Path, tmp_path: Path) -> None:
    (row,) = collect(cells)
    with zipfile.ZipFile(write_inspect_log(row, tmp_path)) as archive:
        assert {"header.json", "summaries.json", "_journal/start.json", "samples/s_1_epoch_1.json"} <= set(
            archive.namelist()
        )
        parts = {name: json.loads(archive.read(name)) for name in archive.namelist()}
    assert (
        parts["header.json"]["status"] == "error"
        and "1 of 3 episodes are missing" in parts["header.json"]["error"]["message"]
    )
    sample = parts["samples/s0_epoch_1.json"]
    assert [message["role"] for message in sample["messages"]] == ["user", "assistant", "user", "assistant", "user"]
    assert sample["scores"]["success"]["value"] == "C" and len(sample["events"]) == 3
    assert sample["events"][1]["input"] == [{"role": "user", "content": "seen go to desk 1"}]
    assert sample["events"][1]["output"]["choices"][0]["stop_reason"] == "max_tokens"
    assert parts["samples/s2_epoch_1.json"]["error"]["message"] == "server gone"
    assert "scores" not in parts["samples/s2_epoch_1.json"]


INSPECT = Path(__file__).resolve().parents[1] / ".venv-inspect" / "bin" / "python"
READ = """
import sys
from inspect_ai.log import read_eval_log, read_eval_log_sample_summaries
log = read_eval_log(sys.argv[1])
summaries = read_eval_log_sample_summaries(sys.argv[1])
accuracy = log.results.scores[0].metrics["accuracy"].value
print(log.status, accuracy, len(log.samples), len(summaries), log.samples[0].events[0].event)
"""


@pytest.mark.skipif(not INSPECT.is_file(), reason="no .venv-inspect here; `make inspect` sets it up")
def test_inspect_reads_the_log(cells: Path, tmp_path: Path) -> None:
    """inspect-ai wants other versions of some packages than this project, so it lives in a Python of its own."""
    (row,) = collect(cells)
    log = write_inspect_log(row, tmp_path)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([str(INSPECT), "-c", READ, str(log)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["error", "0.5", "3", "3", "model"]


def test_a_format_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean parquet"):
        ExportSettings(formats=["parket"])
