from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from agentx.errors import ConfigError, UserError
from agentx.evaluation.runner import planned_episodes, run_episodes
from agentx.evaluation.settings import EvaluationSettings
from agentx.evaluation.store import ResultStore
from agentx.models.chat import BackendError
from agentx.tasks.environment import TaskDataError
from agentx.trajectory import Outcome

QUICK = {"retry_delay": 0.0}


async def succeed(sample: str, trial: int) -> bool:
    await asyncio.sleep(0)
    return True


def run(task: Any, method: Any, roles: Any, directory: Path, progress: Any = None, **options: Any) -> Any:
    settings = EvaluationSettings(**{**QUICK, **options})
    return asyncio.run(run_episodes(task, method, roles, ResultStore(directory), settings, progress))


def test_every_sample_and_trial_is_played_once(make_task: Any, make_method: Any, roles: Any, tmp_path: Path) -> None:
    task = make_task(7)
    counts = run(task, make_method(succeed), roles, tmp_path, trials=3, concurrency=4)
    assert counts.finished == counts.successes == 21
    trajectories = ResultStore(tmp_path).trajectories()
    assert {(t.sample, t.trial) for t in trajectories} == set(planned_episodes(task, 3))
    assert trajectories[0].paths[0].opening[0]["content"] == "io 0 s000"
    assert trajectories[0].metadata == {"kind": "even", "family": "planning", "split": "test"}
    assert task.opened == []


def test_a_finished_episode_frees_its_slot_at_once(
    make_task: Any, make_method: Any, roles: Any, tmp_path: Path
) -> None:
    """One episode never ends until all others have: with waves, those behind the first wave would never start."""
    others_done = asyncio.Event()
    running = most = finished = 0

    async def solve(sample: str, trial: int) -> bool:
        nonlocal running, most, finished
        running += 1
        most = max(most, running)
        if sample == "s000":
            await others_done.wait()
        else:
            for _ in range(int(sample[1:]) % 5):
                await asyncio.sleep(0)
            finished += 1
            if finished == 39:
                others_done.set()
        running -= 1
        return True

    async def bounded() -> Any:
        store = ResultStore(tmp_path)
        method = make_method(solve)
        coroutine = run_episodes(make_task(40), method, roles, store, EvaluationSettings(concurrency=4))
        return await asyncio.wait_for(coroutine, timeout=30)

    assert asyncio.run(bounded()).finished == 40
    assert most == 4


def test_no_more_tasks_than_slots(make_task: Any, make_method: Any, roles: Any, tmp_path: Path) -> None:
    most = 0

    async def solve(sample: str, trial: int) -> bool:
        nonlocal most
        await asyncio.sleep(0)
        most = max(most, len(asyncio.all_tasks()))
        return True

    run(make_task(300), make_method(solve), roles, tmp_path, concurrency=5)
    assert most <= 5 + 1


def test_only_what_is_missing_runs(make_task: Any, make_method: Any, roles: Any, tmp_path: Path) -> None:
    played: list[tuple[str, int]] = []

    async def solve(sample: str, trial: int) -> bool:
        played.append((sample, trial))
        return False

    run(make_task(3), make_method(solve), roles, tmp_path)
    run(make_task(5), make_method(solve), roles, tmp_path, trials=2)
    assert played[:3] == [("s000", 0), ("s001", 0), ("s002", 0)]
    assert sorted(played) == sorted(planned_episodes(make_task(5), 2))


@pytest.mark.parametrize("error", [BackendError("server gone"), ConnectionError("reset"), TimeoutError()])
def test_infrastructure_failures_are_retried(
    make_task: Any, make_method: Any, roles: Any, tmp_path: Path, error: Exception
) -> None:
    tries = 0

    async def solve(sample: str, trial: int) -> bool:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise error
        return True

    task = make_task(1)
    counts = run(task, make_method(solve), roles, tmp_path, retries=2)
    assert (tries, counts.retries, counts.finished, counts.infrastructure_errors) == (3, 2, 1, 0)
    assert task.opened == []


def test_what_keeps_failing_is_kept_apart_and_tried_again_next_time(
    make_task: Any, make_method: Any, roles: Any, tmp_path: Path
) -> None:
    tries: dict[str, int] = {}
    broken = {"s001"}

    async def solve(sample: str, trial: int) -> bool:
        tries[sample] = tries.get(sample, 0) + 1
        if sample in broken:
            raise BackendError("server\ngone")
        return True

    counts = run(make_task(3), make_method(solve), roles, tmp_path, retries=1)
    assert (counts.finished, counts.infrastructure_errors) == (2, 1)
    assert tries == {"s000": 1, "s001": 2, "s002": 1}
    (failed,) = ResultStore(tmp_path).infrastructure_errors()
    assert (failed.sample, failed.outcome) == ("s001", Outcome.INFRASTRUCTURE_ERROR)
    assert failed.limit == "BackendError: server gone"
    broken.clear()
    assert run(make_task(3), make_method(solve), roles, tmp_path).finished == 1
    assert tries == {"s000": 1, "s001": 3, "s002": 1}
    assert ResultStore(tmp_path).infrastructure_errors() == []


@pytest.mark.parametrize("error", [ZeroDivisionError("ours"), TaskDataError("file x is broken")])
def test_other_exceptions_are_neither_scored_nor_retried(
    make_task: Any,
    make_method: Any,
    roles: Any,
    tmp_path: Path,
    error: Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries = 0

    async def solve(sample: str, trial: int) -> bool:
        nonlocal tries
        tries += 1
        raise error

    task = make_task(1)
    with caplog.at_level(logging.WARNING):
        counts = run(task, make_method(solve), roles, tmp_path)
    assert (tries, counts.finished, counts.infrastructure_errors) == (1, 0, 1)
    assert ResultStore(tmp_path).trajectories() == []
    assert ResultStore(tmp_path).infrastructure_errors()[0].limit == f"{type(error).__name__}: {error}"
    assert task.opened == []
    assert ("Traceback" in caplog.text) == isinstance(error, ZeroDivisionError)


def test_an_agents_failure_is_not_retried(make_task: Any, make_method: Any, roles: Any, tmp_path: Path) -> None:
    tries = 0

    async def solve(sample: str, trial: int) -> bool:
        nonlocal tries
        tries += 1
        return False

    counts = run(make_task(2), make_method(solve), roles, tmp_path)
    assert (tries, counts.finished, counts.successes) == (2, 2, 0)


def test_a_users_mistake_stops_the_run_as_itself(make_task: Any, make_method: Any, roles: Any, tmp_path: Path) -> None:
    async def solve(sample: str, trial: int) -> bool:
        if sample == "s003":
            raise UserError("no API key")
        return True

    task = make_task(10)
    with pytest.raises(UserError, match=r"^no API key$"):
        run(task, make_method(solve), roles, tmp_path, concurrency=1)
    assert ResultStore(tmp_path).done() == {("s000", 0), ("s001", 0), ("s002", 0)}
    assert task.opened == []


def test_a_dead_back_end_stops_the_run(make_task: Any, make_method: Any, roles: Any, tmp_path: Path) -> None:
    tries = 0

    async def solve(sample: str, trial: int) -> bool:
        nonlocal tries
        tries += 1
        if sample != "s004":
            raise BackendError("connection refused")
        return True

    with pytest.raises(UserError, match=r"5 episodes in a row .*connection refused"):
        run(make_task(100), make_method(solve), roles, tmp_path, retries=0, concurrency=1, give_up_after=5)
    assert tries == 10
    assert len(ResultStore(tmp_path).infrastructure_errors()) == 9


def test_cancelling_keeps_what_is_finished_and_closes_environments(
    make_task: Any, make_method: Any, roles: Any, tmp_path: Path
) -> None:
    async def scenario() -> Any:
        hanging = asyncio.Event()

        async def solve(sample: str, trial: int) -> bool:
            if sample >= "s005":
                hanging.set()
                await asyncio.Event().wait()
            return True

        task = make_task(20)
        running = asyncio.create_task(
            run_episodes(task, make_method(solve), roles, ResultStore(tmp_path), EvaluationSettings(concurrency=3))
        )
        await hanging.wait()
        for _ in range(50):
            await asyncio.sleep(0)
        assert task.opened
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return task

    task = asyncio.run(scenario())
    assert task.opened == []
    assert {sample for sample, _ in ResultStore(tmp_path).done()} == {f"s{i:03d}" for i in range(5)}


def test_a_result_survives_an_environment_that_cannot_be_closed(
    make_task: Any, make_method: Any, roles: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task(1)
    open_ = task.open

    async def open_unclosable(sample: Any) -> Any:
        environment = await open_(sample)

        async def close() -> None:
            raise OSError("busy")

        environment.close = close
        return environment

    monkeypatch.setattr(task, "open", open_unclosable)
    assert run(task, make_method(succeed), roles, tmp_path).finished == 1


def test_results_that_cannot_be_written_stop_the_run(
    make_task: Any, make_method: Any, roles: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: ResultStore, trajectory: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ResultStore, "append", full)
    with pytest.raises(OSError, match="No space"):
        run(make_task(3), make_method(succeed), roles, tmp_path)


@pytest.mark.parametrize("option", ["trials", "concurrency", "give_up_after"])
def test_settings_name_the_option(option: str) -> None:
    with pytest.raises(ConfigError, match=f"evaluation.{option}=0: must be at least 1"):
        EvaluationSettings(**{option: 0})
