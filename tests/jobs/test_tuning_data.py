import json
import logging
import os
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from agentx import config as configuration
from agentx.errors import UserError
from agentx.jobs.tuning_data import locked, tuning_data

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
    assert first[0] and len(first[1]) == 5
    tuning_data(configured(tmp_path, "seed=1"))
    assert len(list((tmp_path / "data").glob("*.jsonl"))) == 2


def test_a_set_that_lambda_never_draws_from_is_not_read(tmp_path):
    agent, general = tuning_data(configured(tmp_path, "lambda=0", "data.agent=[no-such-file.jsonl]"))
    assert agent == [] and len(general) == 5
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


def test_further_ranks_do_not_wait_for_the_first_ones_lock(tmp_path, monkeypatch):
    with locked(tmp_path / "adapter"):
        monkeypatch.setenv("LOCAL_RANK", "1")
        with locked(tmp_path / "adapter"):
            assert True
