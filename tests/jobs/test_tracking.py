"""Weights & Biases, offline: what the run on disk holds; and the commands of its sweeps."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import program
import pytest
import yaml
from hydra import compose, initialize_config_dir

from agentx import config as configuration

ROOT = Path(__file__).resolve().parents[2]
SMALL = [*program.SMALL, "tuning.steps=2", "tuning.log_every=1", "task.samples=2", "task.max_rounds=2"]
OFFLINE = ["logger=wandb", "logger.mode=offline"]


def records(cell: Path) -> dict[str, list]:
    """The run's records as its file holds them, by kind."""
    from wandb.proto import wandb_internal_pb2

    found: dict[str, list] = {}
    (path,) = cell.glob("wandb/offline-run-*/*.wandb")
    for data in log_entries(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        found.setdefault(kind, []).append(getattr(record, kind))
    return found


def log_entries(text: bytes) -> Iterator[bytes]:
    """W&B keeps records in LevelDB's log format: blocks of 32 KiB; before each piece checksum, length and whether it is
    whole (1), the first (2), a middle (3) or the last one (4) of an entry."""
    place, entry = 7, b""  # after the file's own header
    while place + 7 <= len(text):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack_from("<HB", text, place + 4)
        entry += text[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            yield entry
            entry = b""


def run(output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return program.run(output, *arguments, *SMALL, *OFFLINE)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("tracked")
    done = run(output, "logger.also=[csv,tensorboard]")
    assert done.returncode == 0, done.stderr
    (cell,) = (output / "cells").glob("household-*")
    return cell


def test_a_run_holds_configuration_curves_summary_trajectories_and_adapter(tracked):
    found = records(tracked)
    config = {item.key: json.loads(item.value_json) for entry in found["run"] for item in entry.config.update}
    assert config["lambda"] == 0.5 and config["model"]["name"] == "tiny"
    logged = [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in entry.item}
        for entry in found["history"]
    ]
    steps = [row["trainer/global_step"] for row in logged if "tuning/loss" in row]
    assert steps == [1, 2]
    assert any(row.get("trajectories/nrows") == 2 for row in logged)
    summary = {
        item.key or "/".join(item.nested_key): json.loads(item.value_json)
        for entry in found["summary"]
        for item in entry.update
    }
    assert summary["test/n"] == 2 and summary["label"] == "household (generated)"
    assert any(entry.type == "model" and entry.name.startswith("tiny-lora") for entry in found["artifact"])
    assert [entry.exit_code for entry in found["exit"]] == [0]


def test_loggers_work_at_the_same_time(tracked):
    (adapter,) = (tracked.parents[1] / "adapters").iterdir()
    assert (adapter / "metrics.csv").exists() and list(adapter.rglob("events.out.tfevents.*"))


def test_a_finished_cell_opens_no_second_run(tracked):
    assert run(tracked.parents[1], "logger.also=[csv,tensorboard]").returncode == 0
    assert len(list(tracked.glob("wandb/offline-run-*"))) == 1


def test_a_failed_cell_shows_as_failed(tmp_path):
    done = run(tmp_path, "model.source=/no/such/model", "tuning=none")
    assert done.returncode == 1
    (cell,) = (tmp_path / "cells").glob("failed-*")
    found = records(cell)
    assert [entry.exit_code for entry in found["exit"]] == [1]


SWEEPS = sorted((ROOT / "experiments" / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_the_commands_of_a_sweep_are_accepted_as_they_are(path):
    """Expanded by W&B's own code, first and last values of each parameter."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args, load_sweep_config

    assert load_sweep_config(str(path)) is not None
    sweep = yaml.safe_load(path.read_text())
    assert (ROOT / sweep["program"]).is_file()
    for place in (0, -1):
        chosen = {
            name: {"value": entry["value"] if "value" in entry else entry["values"][place]}
            for name, entry in sweep["parameters"].items()
        }
        flags = create_sweep_command_args({"args": chosen})
        command = create_sweep_command(sweep["command"])
        filled: list[str] = []
        for part in command:
            name = part.strip("${}")
            if part == "${program}":
                filled.append(sweep["program"])
            elif part.startswith("${"):
                filled += flags[name] if isinstance(flags.get(name), list) else [name]
            else:
                filled.append(part)
        overrides = filled[filled.index(sweep["program"]) + 1 :]
        assert len(overrides) == 1 + len(chosen), filled
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            config = configuration.from_hydra(compose("config", overrides=overrides))
        assert config.logger.uses("wandb")
        assert {name: config.resolved[name] for name in ("lambda", "seed") if name in chosen} == {
            name: entry["value"] for name, entry in chosen.items() if name in ("lambda", "seed")
        }
