from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from agentx.errors import UserError
from agentx.evaluation.module import EpisodeData, EvaluationModule, evaluate_cell
from agentx.evaluation.settings import EvaluationSettings
from agentx.evaluation.store import ResultStore
from agentx.evaluation.summary import SUMMARY
from agentx.models.chat import Roles
from agentx.reasoning.method import Method
from agentx.reasoning.settings import MethodSettings


def trainer(**options: Any) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        **{"devices": 1, **options},
    )


def evaluate(task: Any, method: Any, roles: Roles, cell: Path, **options: Any) -> dict[str, Any]:
    settings = EvaluationSettings(concurrency=3, retry_delay=0.0, retries=0, give_up_after=3)
    module = EvaluationModule(task, method, lambda device: roles, cell, settings)
    return evaluate_cell(trainer(**options), module, EpisodeData(task, cell, settings))


async def succeed_when_even(sample: str, trial: int) -> bool:
    assert not torch.is_inference_mode_enabled() and not torch.is_grad_enabled()
    await asyncio.sleep(0)
    return int(sample[1:]) % 2 == 0


def test_the_trainer_plays_scores_and_closes(
    make_task: Any, make_method: Any, roles: Roles, model: Any, tmp_path: Path
) -> None:
    summary = evaluate(make_task(7), make_method(succeed_when_even), roles, tmp_path)
    assert (summary["n"], summary["successes"], summary["complete"]) == (7, 4, True)
    assert summary["task_metrics"] == {"success_rate": pytest.approx(4 / 7)}
    assert summary == json.loads((tmp_path / SUMMARY).read_text())
    assert model.closed == 1


def test_the_real_method_runs(make_task: Any, roles: Roles, tmp_path: Path) -> None:
    summary = evaluate(make_task(2), Method(MethodSettings(style="io", shots=0)), roles, tmp_path)
    assert (summary["successes"], summary["cost"]["total"]["calls"]) == (2, 2)
    (first, _) = ResultStore(tmp_path).trajectories()
    assert first.paths[0].steps[0].candidate.action == "go"


def test_a_finished_cell_loads_no_model(make_task: Any, make_method: Any, roles: Roles, tmp_path: Path) -> None:
    first = evaluate(make_task(4), make_method(succeed_when_even), roles, tmp_path)

    def refuse(device: torch.device) -> Roles:
        raise AssertionError("a model was loaded for nothing")

    settings = EvaluationSettings()
    module = EvaluationModule(make_task(4), make_method(succeed_when_even), refuse, tmp_path, settings)
    assert evaluate_cell(trainer(), module, EpisodeData(make_task(4), tmp_path, settings)) == first


def test_a_stopped_run_is_scored_and_goes_on_later(
    make_task: Any, make_method: Any, roles: Roles, model: Any, tmp_path: Path
) -> None:
    whole = evaluate(make_task(12), make_method(succeed_when_even), roles, tmp_path / "whole")

    async def fail_late(sample: str, trial: int) -> bool:
        if sample >= "s006":
            raise ConnectionError("server gone")
        return await succeed_when_even(sample, trial)

    cell = tmp_path / "stopped"
    with pytest.raises(UserError, match="3 episodes in a row"):
        evaluate(make_task(12), make_method(fail_late), roles, cell)
    partial = json.loads((cell / SUMMARY).read_text())
    assert (partial["n"], partial["expected"], partial["complete"]) == (6, 12, False)
    assert partial["infrastructure_errors"] >= 3
    finished = evaluate(make_task(12), make_method(succeed_when_even), roles, cell)
    assert {**finished, "timing": None} == {**whole, "timing": None}
    assert model.closed == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_cleanly(
    make_task: Any, make_method: Any, roles: Roles, model: Any, tmp_path: Path, number: signal.Signals
) -> None:
    sent = threading.Event()

    async def hang_late(sample: str, trial: int) -> bool:
        if sample >= "s004":
            if not sent.is_set():
                sent.set()
                os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        return True

    task = make_task(9)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    # Python's own, whatever this process was started with: the background of a script ignores interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit):
            evaluate(task, make_method(hang_late), roles, tmp_path)
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
    assert task.opened == [] and model.closed == 1
    assert {sample for sample, _ in ResultStore(tmp_path).done()} == {f"s{i:03d}" for i in range(4)}
    assert json.loads((tmp_path / SUMMARY).read_text())["n"] == 4


def test_two_processes_share_the_episodes(make_task: Any, make_method: Any, roles: Roles, tmp_path: Path) -> None:
    async def in_process(sample: str, trial: int) -> bool:
        (tmp_path / f"{sample}-{os.getpid()}").touch()
        return await succeed_when_even(sample, trial)

    cell = tmp_path / "cell"
    task = make_task(9)
    evaluate(make_task(2), make_method(succeed_when_even), roles, cell)
    summary = evaluate(task, make_method(in_process), roles, cell, devices=2, strategy="ddp_fork")
    assert (summary["n"], summary["successes"], summary["complete"]) == (9, 5, True)
    played = sorted(path.name.split("-") for path in tmp_path.glob("s*-*"))
    assert [sample for sample, _ in played] == [f"s{i:03d}" for i in range(2, 9)]
    shares = {process: [s for s, p in played if p == process] for _, process in played}
    assert sorted(map(len, shares.values())) == [3, 4]


def test_more_processes_than_episodes(make_task: Any, make_method: Any, roles: Roles, tmp_path: Path) -> None:
    summary = evaluate(make_task(1), make_method(succeed_when_even), roles, tmp_path, devices=2, strategy="ddp_fork")
    assert (summary["n"], summary["complete"]) == (1, True)
