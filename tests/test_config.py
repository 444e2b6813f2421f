"""Every shipped configuration composes and is valid; every option of the settings is in the YAML that sets it."""

import dataclasses
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from agentx import config as configuration
from agentx.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
GROUPS = sorted(path for path in (ROOT / "conf").glob("*/*.yaml") if path.parent.name not in ("hydra", "experiments"))
EXPERIMENTS = sorted(path.stem for path in (ROOT / "experiments").glob("*.yaml"))


def composed(*overrides: str):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def checked(*overrides: str) -> configuration.Config:
    return configuration.from_hydra(composed(*overrides))


NEEDED = {
    "model": ["tuning=none", "backend=openai"],
    "backend": ["tuning=none"],
    "teacher": ["tuning=none"],
    "planner": ["tuning=none", "method=ours"],
    "judge": ["tuning=none", "method=ours"],
    "planner_backend": ["tuning=none", "method=ours", "planner=tiny"],
    "judge_backend": ["tuning=none", "method=ours", "judge=tiny"],
    "custom": ["model.source=somewhere"],
    "files": ["data.agent=[a.jsonl]", "data.general=[b.jsonl]"],
    "alpaca": ["lambda=0"],
    "alpaca_code": ["lambda=0"],
    "codegen": ["lambda=0"],
    "oasst": ["lambda=0"],
    "tune": ["tuning=lora"],
    "reproduce": ["job.cell=outputs/cells/a-cell"],
}
"""what a choice needs beside it"""


@pytest.mark.parametrize("path", GROUPS, ids=lambda path: f"{path.parent.name}={path.stem}")
def test_every_choice_is_valid(path):
    group, choice = path.parent.name, path.stem
    needed = [*NEEDED.get(group, []), *NEEDED.get(choice, [])]
    if choice == "custom" and group != "model":
        needed = [option.replace("model.", f"{group}.") for option in needed]
    checked(f"{group}={choice}", *needed)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_is_valid_in_every_combination(name):
    """Experiments whose cells depend on the scale are checked cell by cell in test_experiments.py."""
    from itertools import product

    sweeper = composed_with_hydra(f"experiments={name}").hydra.sweeper
    if sweeper.get("cells"):
        assert set(sweeper.cells) == {"paper", "tiny"}
        return
    params = sweeper.params or {}
    swept = [[f"{key}={value}" for value in str(values).split(",")] for key, values in params.items()]
    for overrides in product(*swept):
        checked(f"experiments={name}", *overrides)


def composed_with_hydra(*overrides: str):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=list(overrides), return_hydra_config=True)


@pytest.mark.parametrize("section", ["model", "task", "backend", "data", "tuning", "trainer", "evaluation", "budget"])
def test_the_default_yaml_sets_only_options_that_exist_and_lambda_is_known_here_alone(section):
    config = checked()
    settings = getattr(config, section)
    names = {field.name for field in dataclasses.fields(settings)}
    assert set(config.resolved[section]) <= names
    assert config.agent_ratio == config.resolved["lambda"] == 0.5


def test_num_path_and_num_branch_reach_the_method_and_null_leaves_its_own():
    assert (checked("method=ours").method.num_path, checked("method=ours").method.num_branch) == (2, 2)
    changed = checked("method=ours", "num_path=4", "num_branch=3").method
    assert (changed.num_path, changed.num_branch) == (4, 3)
    assert checked("method=ours", "num_path=1", "num_branch=1").method.num_path == 1
    assert checked("method=react", "num_path=1").method.num_path == 1


@pytest.mark.parametrize(
    ("method", "option"), [("react", "num_path"), ("io", "num_branch"), ("decompose", "num_path"), ("tot", "num_path")]
)
def test_a_method_never_silently_becomes_another(method, option):
    with pytest.raises(ConfigError, match=f"{option}=2.*method={method}"):
        checked(f"method={method}", f"{option}=2")


def test_lambda_zero_and_one_need_no_data_of_the_other_kind():
    assert checked("lambda=0", "data.agent=[]").agent_ratio == 0
    assert checked("lambda=1", "data.general=[]").agent_ratio == 1
    with pytest.raises(ConfigError, match=r"data\.general"):
        checked("lambda=0.9", "data.general=[]")


def test_a_missing_value_names_the_option():
    with pytest.raises(ConfigError, match=r"^model\.source: needs a value"):
        checked("model=custom")


def test_nested_options_are_named_as_the_user_types_them():
    with pytest.raises(ConfigError, match=r"^method\.backtrack\.signl: no such option; did you mean signal\?"):
        checked("+method.backtrack.signl=judge")
    with pytest.raises(ConfigError, match=r"^method\.backtrack\.signal=judg: must be one of judge, env_reward"):
        checked("method=ours", "method.backtrack.signal=judg")
    with pytest.raises(ConfigError, match=r"^evaluation\.concurrency=0"):
        checked("evaluation.concurrency=0")
