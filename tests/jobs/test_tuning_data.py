import json
import logging
import os
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from agentx import config as configuration
from agentx.errors import ConfigError, UserError
from agentx.jobs.tuning_data import tuning_data

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("AGENTX_SHARED_DATA", ROOT.parent / "shared" / "data"))


def configured(output: Path, *overrides: str) -> configuration.Config:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        small = ["data.experts_size=6", "data.skills_size=5", f"paths.output={output}"]
        return configuration.from_hydra(compose("config", overrides=[*small, *overrides]))


def household(tmp_path: Path, action: str) -> Path:
    turns = [
        {"from": "human", "value": "You see a desk 1.\n\nYour task is to: put some mug on desk."},
        {"from": "gpt", "value": f"THOUGHT: I put it there.\nACTION: {action}", "loss": True},
    ]
    path = tmp_path / "agent.jsonl"
    path.write_text(json.dumps({"id": "1", "conversations": turns}) + "\n")
    return path


def test_generated_sets_are_made_once(tmp_path):
    first = tuning_data(configured(tmp_path))
    (made,) = (tmp_path / "data").glob("*.jsonl")
    before = made.stat().st_mtime_ns
    assert tuning_data(configured(tmp_path)) == first and made.stat().st_mtime_ns == before
    assert first.agent and len(first.general) == 5
    tuning_data(configured(tmp_path, "seed=1"))
    assert len(list((tmp_path / "data").glob("*.jsonl"))) == 2


@pytest.mark.parametrize("choice", sorted(path.stem for path in configuration.TASKS.glob("*.yaml")))
def test_the_experts_of_another_task_are_those_of_its_own_runs(choice, tmp_path):
    """So that an adapter tuned for one task is found, not tuned again, when its general skills are measured."""
    own = configured(tmp_path, f"task={choice}")
    other = configured(tmp_path, "task=general", f"data.agent=[experts:{choice}]")
    assert configuration.shipped_settings(other, choice) == own.task


def test_a_model_tuned_for_one_task_can_be_measured_on_another(tmp_path):
    own = tuning_data(configured(tmp_path, "task=webshop"))
    other = tuning_data(configured(tmp_path, "task=general", "data.agent=[experts:webshop]"))
    assert own == other and len(list((tmp_path / "data").glob("*.jsonl"))) == 1
    with pytest.raises(ConfigError, match=r"data\.agent=\[experts:websop\]: no such task; did you mean webshop\?"):
        configured(tmp_path, "data.agent=[experts:websop]")


def test_demonstrations_of_other_tasks_are_not_taken_for_another_wording(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        tuning_data(configured(tmp_path, "data.agent=[experts,experts:webshop]"))
    assert "never possible" not in caplog.text


def test_a_set_that_lambda_never_draws_from_is_not_read(tmp_path):
    sets = tuning_data(configured(tmp_path, "lambda=0", "data.agent=[no-such-file.jsonl]"))
    assert sets.agent == [] and len(sets.general) == 5
    with pytest.raises(UserError, match="no-such-file"):
        tuning_data(configured(tmp_path, "data.agent=[no-such-file.jsonl]"))


@pytest.mark.parametrize(
    ("text", "action", "foreign"),
    [
        ("current", "put mug 1 in/on desk 1", True),
        ("classic", "put mug 1 in/on desk 1", False),
        ("current", "move mug 1 to desk 1", False),
        ("classic", "move mug 1 to desk 1", True),
    ],
)
def test_data_in_the_other_text_version_are_announced(text, action, foreign, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        tuning_data(configured(tmp_path, f"task.text={text}", f"data.agent=[{household(tmp_path, action)}]"))
    assert ("never possible in task=household" in caplog.text) == foreign
    assert (action in caplog.text) == foreign


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"needs the shared test data at {SHARED}")
def test_real_agent_data_are_in_the_classic_text(tmp_path, caplog):
    path = SHARED / "sft" / "agentinstruct_reconstructed.jsonl"
    foreign = {}
    for text in ("current", "classic"):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            tuning_data(configured(tmp_path, f"data.agent=[{path}]", "data.on_error=skip", f"task.text={text}"))
        foreign[text] = int(caplog.text.partition("warning: ")[2].partition(" of ")[0])
    assert foreign["current"] > 5 * foreign["classic"] > 0  # some of its actions are possible in no version


def test_skipped_records_are_counted_by_side(tmp_path):
    path = household(tmp_path, "move mug 1 to desk 1")
    path.write_text(path.read_text() + '{"conversations": []}\n')
    sets = tuning_data(configured(tmp_path, f"data.agent=[{path}]", "data.on_error=skip"))
    assert len(sets.agent) == 1 and sets.skipped["general"] == []
    assert sets.skipped["agent"] == [f"{path}:2: conversations must be a list of turns, this is an empty list"]


def test_a_limit_takes_some_of_each_set_at_random_in_their_order(tmp_path):
    whole = tuning_data(configured(tmp_path)).general
    part = tuning_data(configured(tmp_path, "data.limit=2")).general
    places = [whole.index(conversation) for conversation in part]
    assert len(part) == 2 and places == sorted(places)


def test_constructed_is_what_job_construct_left(tmp_path):
    with pytest.raises(UserError, match=r"data.agent=\[constructed\]: nothing .*run job=construct"):
        tuning_data(configured(tmp_path, "data.agent=[constructed]"))
    folder = tmp_path / "constructed" / "a-cell"
    folder.mkdir(parents=True)
    household(folder, "move mug 1 to desk 1")
    assert len(tuning_data(configured(tmp_path, "data.agent=[constructed]")).agent) == 1
