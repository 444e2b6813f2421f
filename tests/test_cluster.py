"""The Slurm file of the docs: its syntax, and the command it starts."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from agentx import config as configuration

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "docs" / "cluster.sbatch"


def test_the_file_is_valid_bash() -> None:
    if shutil.which("bash") is None:
        pytest.skip("there is no bash here")
    done = subprocess.run(["bash", "-n", str(FILE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_its_command_is_valid_and_agrees_with_what_slurm_is_asked_for() -> None:
    text = FILE.read_text()
    (line,) = re.findall(r"^srun python run\.py (.*)$", text, re.MULTILINE)
    overrides = [part for part in shlex.split(line) if part != "$@"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = configuration.from_hydra(compose("config", overrides=overrides))
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", text, re.MULTILINE))
    assert config.trainer.num_nodes == int(asked["nodes"])
    assert config.trainer.devices == int(asked["ntasks-per-node"]) == int(asked["gpus-per-node"])
    assert config.job.name == "tune" and config.trainer.strategy == "fsdp"
