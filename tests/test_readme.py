"""Every command in the README and the docs is run, with smaller sizes than a user would take."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from agentx import config as configuration
from agentx.jobs.settings import JOBS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SMALLER = [
    "tuning.steps=2",
    "tuning.batch_size=4",
    "tuning.rank=4",
    "data.experts_size=12",
    "data.skills_size=12",
    "task.samples=2",
    "method.max_tokens.action=16",
    "budget.max_steps=6",
]
RUN_ELSEWHERE = {"make demo", "make test", ". .venv/bin/activate"}
"""what sets up this suite's own environment; what `make demo` then runs is tested below"""


def commands() -> list[str]:
    blocks = [block for page in PAGES for block in re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL)]
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))


def test_the_two_commands_come_first():
    assert commands()[:2] == ["make demo", "make test"]


def commands_for_other_machines() -> list[str]:
    """Indented ones: they need weights, data or devices that a test has not."""
    lines = [line for page in PAGES for line in page.read_text().splitlines()]
    return [line.strip() for line in lines if re.match(r"    (\w+=\S+ )?python run\.py", line)]


@pytest.mark.parametrize("line", commands_for_other_machines())
def test_a_command_for_other_machines_is_valid_to_the_last_option(line):
    overrides = line.partition("python run.py ")[2].split()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = configuration.from_hydra(compose("config", overrides=overrides))
    assert config.job.name in JOBS


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("readme")


DEMO = "python run.py experiments=demo"


def test_make_demo_runs_the_demo():
    recipe = (ROOT / "Makefile").read_text().partition("\ndemo: setup\n")[2].splitlines()[0]
    assert recipe.strip() == DEMO.replace("python", "$(BIN)/python")


@pytest.mark.parametrize("line", [DEMO, *(line for line in commands() if line not in RUN_ELSEWHERE)])
def test_a_documented_command_works(line, output):
    program, *arguments = line.split()
    assert program == "python", f"{line}: say in RUN_ELSEWHERE who runs it"
    if arguments[0] == "run.py" and "--help" not in arguments:
        arguments += [*SMALLER, f"paths.output={output}", f"hydra.sweep.dir={output}/sweep"]
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert done.stdout.strip()
