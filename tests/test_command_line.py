"""What a user sees of `run.py` before anything is loaded: help, configuration, mistakes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "run.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment, timeout=120)


def test_help_is_written_for_people():
    done = run("--help")
    assert done.returncode == 0
    for word in ("EXAMPLES", "python run.py -m lambda=0.1,0.3,0.5,0.8", "method=ours num_path=1,2,3,4", "job=report"):
        assert word in done.stdout
    for group in ("model", "teacher", "task", "method", "data", "tuning", "backend", "trainer", "logger", "job"):
        assert f"\n  {group}: " in done.stdout or f"\n{group}: " in done.stdout, group


def test_the_whole_configuration_can_be_printed():
    done = run("--cfg", "job", "lambda=0.3")
    assert done.returncode == 0
    assert "lambda: 0.3" in done.stdout


MISTAKES = {
    "model=tinny": ("model=tinny", "did you mean model=tiny?"),
    "metod=react": ("metod", "did you mean method?"),
    "model.nam=x": ("model.nam", "did you mean model.name?"),
    "+task.colour=red": ("task.colour", "no such option"),
    "lambda=1.5": ("lambda=1.5", "from 0 to 1"),
    "lambda=much": ("lambda=much", "from 0 to 1"),
    "num_path=0": ("num_path=0", "at least 1"),
    "num_path=2": ("num_path=2", "method=react", "backtrack"),
    "num_branch=3": ("num_branch=3", "method=react", "branch"),
    "seed=-1": ("seed=-1", "at least 0"),
    "tuning.rank=0": ("tuning.rank=0", "at least 1"),
    "tuning.rank=many": ("tuning.rank=many", "integer"),
    "task.text=clasic": ("task.text=clasic", "did you mean classic?"),
    "model=gpt-4": ("API", "tuning=none"),
    "teacher=gpt-4": ("teacher=gpt-4", "teacher=expert"),
    "job=tun": ("job=tun", "did you mean job=tune?"),
    "job=tune tuning=none": ("job=tune", "tuning=lora"),
    "data.agent=[]": ("data.agent", "needs a data set"),
    "a=b=c=[": ("a=b=c=[", "cannot be read"),
}


@pytest.mark.parametrize("arguments", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, tmp_path):
    done = run(*arguments.split(), f"paths.output={tmp_path / 'out'}")
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    for part in MISTAKES[arguments]:
        assert part in lines[0]
    assert "Traceback" not in done.stdout


def test_missing_task_data_are_one_line_that_names_the_path_to_set(tmp_path):
    done = run("task.source=official", "task.split=dev", "tuning=none", f"paths.output={tmp_path / 'out'}")
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1 and "paths.a" in done.stderr, done.stderr


def test_a_sweep_with_one_bad_combination_runs_nothing(tmp_path):
    done = run("-m", "lambda=0.1,1.5", f"paths.output={tmp_path / 'out'}", f"hydra.sweep.dir={tmp_path / 'sweep'}")
    assert done.returncode == 2
    assert "lambda=1.5: must be a number from 0 to 1" in done.stderr
    assert not list(tmp_path.rglob("job.json"))


def test_verbose_brings_the_traceback_back(tmp_path):
    done = run("lambda=1.5", "hydra.verbose=true", f"paths.output={tmp_path / 'out'}")
    assert done.returncode == 2
    assert "Traceback" in done.stderr and done.stderr.strip().splitlines()[-1].startswith("error: lambda=1.5")


def test_nothing_heavy_is_imported_before_the_configuration_is_valid(tmp_path):
    program = (
        "import sys; sys.argv = ['run.py', 'lambda=1.5', 'hydra.run.dir=' + sys.argv[1]]\n"
        "import run\n"
        "code = run.main()\n"
        "heavy = {'torch', 'transformers', 'pytorch_lightning', 'textworld', 'datasets', 'wandb', 'openai', 'scipy'}\n"
        "print(code, sorted(heavy & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "2 []", done.stderr
