"""What a sweep has set out to run, and the commands for what of it is missing."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir

from agentx.config import Config, from_hydra
from agentx.reports.collect import Row
from agentx.reports.planned import PLANS, settings_key, still_to_run, write_plan

CONF = Path(__file__).resolve().parents[2] / "conf"


def composed(*options: str) -> Config:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return from_hydra(compose("config", overrides=list(options)))


def row_of(config: Config, n: int = 3, expected: int = 3) -> Row:
    """As read back from a cell's config.yaml."""
    resolved = yaml.safe_load(yaml.safe_dump(config.resolved))
    return Row(Path("x"), resolved, {"n": n, "expected": expected, "complete": n == expected})


def test_what_is_missing_of_a_sweep_is_named_with_the_command_for_it(tmp_path: Path) -> None:
    shared = ["experiments=table4", "scale=tiny", f"paths.output={tmp_path}"]
    jobs = [[f"lambda={ratio}", "task=os", *shared] for ratio in (0.1, 0.3, 0.5)]
    configs = [composed(*job) for job in jobs]
    write_plan(jobs, configs)
    write_plan(jobs, configs)
    assert len(list((tmp_path / PLANS).iterdir())) == 1
    table = still_to_run(tmp_path / PLANS, [row_of(configs[0]), row_of(configs[2], n=2)])
    assert table is not None
    assert [line[:2] for line in table.rows] == [
        ["table4 scale=tiny, 2 of 3 cells", "–"],
        ["table4 scale=tiny, 2 of 3 cells", "2 of 3"],
    ]
    assert composed(*shlex.split(table.rows[0][2])[2:]) == configs[1]
    assert still_to_run(tmp_path / PLANS, [row_of(config) for config in configs]) is None


def test_devices_and_loggers_make_no_other_cell_but_samples_do() -> None:
    resolved = composed().resolved

    def key(**changed: Any) -> str:
        sections = {n: {**resolved[n], **v} if isinstance(v, dict) else v for n, v in changed.items()}
        return settings_key({**resolved, **sections})

    plain = key()
    assert key(trainer={"devices": 2}, logger={"name": "none"}, tuning={"log_every": 7}, num_path=1) == plain
    assert key(evaluation={"concurrency": 3}) == plain != key(evaluation={"trials": 2})
    assert plain not in (key(task={"samples": 7}), key(**{"lambda": 0.1}), key(num_branch=2))
    untuned = key(tuning={"name": "none"})
    assert untuned == key(tuning={"name": "none"}, **{"lambda": 0.1}) != plain


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"a": 1}', "null"])
def test_a_file_that_is_no_plan_is_passed_over(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    assert still_to_run(tmp_path, []) is None


def test_jobs_that_evaluate_nothing_are_not_planned(tmp_path: Path) -> None:
    job = ["job=tune", f"paths.output={tmp_path}"]
    write_plan([job], [composed(*job)])
    assert not (tmp_path / PLANS).exists()


def test_the_report_shows_what_is_missing(make_cell: Any, cells: Path) -> None:
    from agentx.reports.report import write_report

    make_cell("a")
    job = ["tuning=none", f"paths.output={cells.parent}"]
    write_plan([job], [composed(*job)])
    report = write_report(cells, plans=cells.parent / PLANS)
    assert report.missing == 1 and "python run.py tuning=none" in report.html.read_text()
    assert (report.html.parent / "tables" / "still-to-be-run.md").exists()
