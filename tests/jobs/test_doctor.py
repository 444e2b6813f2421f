"""What a run may need: named with what mends it, and refused where the configuration cannot do without."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from agentx.config import Config, from_hydra
from agentx.errors import UserError
from agentx.jobs import doctor, evaluate, tune

CONF = Path(__file__).resolve().parents[2] / "conf"


def configured(*overrides: str) -> Config:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return from_hydra(compose("config", overrides=["job=doctor", *overrides]))


def test_the_embedded_defaults_need_nothing_that_is_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    doctor.run(configured(f"paths.output={tmp_path}"))
    table = capsys.readouterr().out
    for part in ("GPU", "memory", "disk", "vLLM", "sandbox namespaces", "database mysql", "spaCy", "W&B login"):
        assert part in table
    assert "MISSING:" in table and " MISSING " not in table


def test_official_data_that_are_not_here_end_in_one_line(tmp_path: Path) -> None:
    overrides = (
        "task=webshop",
        "task.source=official",
        "task.split=dev",
        f"paths.webshop={tmp_path}/no",
        f"paths.output={tmp_path}",
    )
    with pytest.raises(UserError, match=r"paths\.webshop: .*no such directory; .*github\.com/princeton-nlp/WebShop"):
        doctor.run(configured(*overrides))


def test_a_key_is_named_and_never_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = configured("model=gpt-4", "backend=openai", "tuning=none")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    found = {check.part: check for check in doctor.back_ends(config)}["API key"]
    assert found.works and "sk-secret" not in str(found)
    monkeypatch.delenv("OPENAI_API_KEY")
    lacking = {check.part: check for check in doctor.back_ends(config)}["API key"]
    assert lacking.needed and not lacking.works and "export OPENAI_API_KEY" in lacking.remedy


def test_a_run_that_logs_to_wandb_says_before_it_starts_that_nobody_is_logged_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_MODE", "WANDB_API_KEY", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="W&B login: not logged in; wandb login"):
        doctor.before_a_run(configured("logger=wandb", f"paths.output={tmp_path}"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    doctor.before_a_run(configured("logger=wandb", f"paths.output={tmp_path}"))


JUDGED = ("method=ours", "judge=gpt-4", "judge_backend=openai")


def test_a_judges_key_is_asked_for_before_hours_of_tuning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    plan = tune.AdapterPlan(tmp_path / "adapter", {}, tune.TuningSets([], []))
    monkeypatch.setattr(tune, "plan_adapter", lambda config: plan)
    monkeypatch.setattr(evaluate, "puts_jobs_off", lambda: False)
    monkeypatch.setattr(tune, "ensure_adapter", lambda *_, **__: pytest.fail("it was tuned first"))
    config = configured(*JUDGED, f"paths.output={tmp_path}", "task.samples=2")
    message = r"API key of the judge: OPENAI_API_KEY, for gpt-4, is not set; export OPENAI_API_KEY="
    with pytest.raises(UserError, match=message):
        evaluate.run_cell(config, may_train=True)
    with pytest.raises(UserError, match=message):
        doctor.run(config)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    doctor.before_calls(config)


def test_a_server_of_ones_own_is_asked_for_no_key_but_must_be_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        config = configured(*JUDGED, f"judge_backend.base_url={address}", f"paths.output={tmp_path}")
        doctor.before_calls(config)
        key = {check.part: check for check in doctor.back_ends(config)}["API key of the judge"]
        assert not key.works and not key.needed
        assert [(check.part, check.works) for check in doctor.servers(config)] == [(f"server {address}", True)]
    (gone,) = doctor.servers(config)
    assert gone.needed and not gone.works and gone.detail == "nobody listens there"
    assert list(doctor.servers(configured("method=ours", "judge=gpt-4"))) == []


def test_a_planners_back_end_is_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = configured("method=ours", "planner=llama2-7b", "planner_backend=vllm", f"paths.output={tmp_path}")
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"vLLM: not installed in this environment; make vllm .*\.venv-vllm/bin/python"):
        doctor.before_calls(config)
    doctor.before_calls(configured("method=ours", f"paths.output={tmp_path}"))
