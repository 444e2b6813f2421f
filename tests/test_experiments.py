"""Every cell of every experiment, at both scales: composed and checked, and what it needs listed."""

from __future__ import annotations

import shlex
from functools import cache
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import open_dict

from agentx import config as configuration
from agentx.experiments import GROUP, cells_of, command, jobs_of, lines_of
from agentx.jobs.needs import describe, needs_of
from agentx.reports.paper_values import paper_cells
from agentx.reports.planned import settings_key

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = sorted(path.stem for path in (ROOT / "experiments").glob("*.yaml") if path.stem != "demo")
BENCHMARKS = {
    "database": "DB", "household": "ALFWorld", "mind2web": "Mind2Web", "operating_system": "OS", "webshop": "WebShop",
}  # fmt: skip


@cache
def cells(experiment: str, scale: str) -> list[configuration.Config]:
    sweeper = yaml.safe_load((ROOT / "experiments" / f"{experiment}.yaml").read_text())["hydra"]["sweeper"]
    jobs = jobs_of({}, lines_of(sweeper["cells"], scale), [f"experiments={experiment}", f"scale={scale}"])
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return [configuration.from_hydra(compose("config", overrides=job)) for job in jobs]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_cell_at_tiny_scale_needs_nothing(experiment):
    made = cells(experiment, "tiny")
    assert made
    for config in made:
        assert config.model.name == "tiny" and config.trainer.accelerator == "cpu"
        assert getattr(config.task, "source", "generated") == "generated"
    assert needs_of(made) == []


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_cell_at_the_papers_scale_is_valid_and_says_what_it_needs(experiment):
    made = cells(experiment, "paper")
    assert all(getattr(config.task, "source", "official") == "official" for config in made)
    text = describe(needs_of(made))
    for part in ("download of", "GPU memory for", "time on one GPU", "paths.", "missing"):
        assert part in text, text


@pytest.mark.parametrize("table", ["table1", "table2", "table3", "table4"])
def test_a_table_has_a_cell_for_every_number_the_paper_prints(table):
    ours = [
        {
            "benchmark": BENCHMARKS[config.task.name],
            "model": config.model.name,
            "tuning": "none" if config.tuning.name == "none" else "tuned",
            "data": config.data.name,
            "method": config.method.name,
            "lambda": config.agent_ratio,
            "num_path": config.method.num_path,
            "num_branch": config.method.num_branch,
        }
        for config in cells(table, "paper")
    ]
    printed = [cell for cell in paper_cells() if cell.table == f"Table {table[-1]}"]
    assert printed
    for cell in printed:
        wanted = {**cell.match, "benchmark": cell.benchmark}
        assert any(all(one[name] == value for name, value in wanted.items()) for one in ours), (cell.row, wanted)


def test_commercial_models_cost_money_and_name_their_keys():
    text = describe(needs_of(cells("figure1", "paper")))
    assert "gpt-4: about" in text and "US dollars" in text and "OPENAI_API_KEY" in text


@pytest.mark.parametrize(("experiment", "scale"), [(name, "tiny") for name in EXPERIMENTS] + [("table1", "paper")])
def test_the_command_for_a_cell_runs_that_cell_and_no_other(experiment, scale):
    """Of the last cell, which another line's options tell from the first."""
    *_, last = cells_of(experiment, scale)
    program, script, *options = shlex.split(command([f"experiments={experiment}", f"scale={scale}", *last]))
    assert (program, script) == ("python", "run.py")
    assert not any(option == "-m" or option.startswith(GROUP) for option in options)
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        composed = compose("config", overrides=options, return_hydra_config=True)
        assert composed.hydra.mode is None
        with open_dict(composed):
            del composed["hydra"]
        alone = configuration.from_hydra(composed)
        assert alone == cells(experiment, scale)[-1]
    assert settings_key(alone.resolved) == settings_key(cells(experiment, scale)[-1].resolved)


def test_an_experiments_own_values_hold_in_its_cells():
    """Also where conf/config.yaml has another value for the same option."""
    assert {config.evaluation.trials for config in cells("hallucination", "tiny")} == {3}
    assert "evaluation.trials=3" in command(["experiments=hallucination", "scale=tiny", "task=os"]).split()


@pytest.mark.parametrize("scale", ["tiny", "paper"])
def test_several_trials_are_sampled(scale):
    """Greedy ones would repeat each other."""
    several = [config for each in EXPERIMENTS for config in cells(each, scale) if config.evaluation.trials > 1]
    assert several and all(config.method.policy_temperature > 0 for config in several)


def test_the_cells_of_an_experiment_are_different_cells():
    for experiment in EXPERIMENTS:
        made = [settings_key(config.resolved) for config in cells(experiment, "tiny")]
        assert len(set(made)) == len(made), experiment


def test_a_scale_that_an_experiment_does_not_have_is_refused():
    with pytest.raises(configuration.ConfigError, match=r"scale=none: .* scale=paper and scale=tiny"):
        lines_of({"paper": [], "tiny": []}, "none")
