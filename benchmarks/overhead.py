"""The engine's own time in an evaluation: `python benchmarks/overhead.py`.

Plays generated household games with the shipped tiny model on the transformers back end, with 1, 8 and 32 episodes in
play, through the runner, the store, the ledger of calls and the reasoning that a user's run goes through. What tiny
generates, at most 24 tokens a turn, is then replaced by an action that the game knows: untuned, it would lose every
game in its first round, and the benchmark would measure nothing but beginnings and ends.

CPU seconds are divided among the model (its thread's forward passes, and rendering prompts), the environments, and the
engine: whatever else the event loop's thread does. CPU time is what counts on a busy machine too; `idle_wall` is the
share of the wall time in which neither the model nor an environment had anything to do. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import platform
import pstats
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir

from agentx import config as configuration
from agentx.conversation import Message
from agentx.evaluation.runner import run_episodes
from agentx.evaluation.settings import EvaluationSettings
from agentx.evaluation.store import ResultStore
from agentx.jobs import roles
from agentx.models.chat import Completion, Request, Roles, Sampling
from agentx.reasoning.method import Method

ACTIONS = ("look", "inventory", "go to countertop 1", "go to cabinet 1", "open cabinet 1", "go to drawer 1")
ROOT = Path(__file__).resolve().parents[1]


class Meter:
    """CPU seconds of the loop's thread by what they went to, and the wall time with nothing pending."""

    def __init__(self) -> None:
        self.cpu = {"rendering": 0.0, "environment": 0.0}
        self.calls = self.pending = 0
        self.idle = 0.0
        self._idle_since = time.perf_counter()

    def begin(self) -> None:
        if self.pending == 0:
            self.idle += time.perf_counter() - self._idle_since
        self.pending += 1

    def end(self) -> None:
        self.pending -= 1
        if self.pending == 0:
            self._idle_since = time.perf_counter()

    async def timed(self, kind: str, coroutine: Coroutine[Any, Any, Any]) -> Any:
        self.begin()
        try:
            return await _Timed(self, kind, coroutine)
        finally:
            self.end()


class _Timed:
    """Awaits a coroutine and charges each of its steps, not its waiting."""

    def __init__(self, meter: Meter, kind: str, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.meter, self.kind, self.coroutine = meter, kind, coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        value = None
        while True:
            started = time.thread_time()
            try:
                waited = self.coroutine.send(value)
            except StopIteration as done:
                return done.value
            finally:
                self.meter.cpu[self.kind] += time.thread_time() - started
            value = yield waited


class TimedModel:
    def __init__(self, model: Any, meter: Meter) -> None:
        self.name, self.context_length = model.name, model.context_length
        self._model, self._meter = model, meter

    async def generate(self, messages: Sequence[Message], sampling: Sampling, request: Request) -> Completion:
        self._meter.calls += 1
        completion: Completion = await self._meter.timed("rendering", self._model.generate(messages, sampling, request))
        return replace(completion, text=f"THOUGHT: on\nACTION: {ACTIONS[request.step % len(ACTIONS)]}")

    def count_tokens(self, messages: Sequence[Message]) -> int:
        started = time.thread_time()
        try:
            return int(self._model.count_tokens(messages))
        finally:
            self._meter.cpu["rendering"] += time.thread_time() - started

    async def close(self) -> None:
        await self._model.close()


class TimedEnvironment:
    """The environment, its asynchronous methods timed."""

    def __init__(self, environment: Any, meter: Meter) -> None:
        self._environment, self._meter = environment, meter

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._environment, name)
        if name not in ("reset", "step", "fork", "close"):
            return found
        return lambda *given: self._meter.timed("environment", found(*given))


class TimedTask:
    def __init__(self, task: Any, meter: Meter) -> None:
        self._task, self._meter = task, meter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    async def open(self, sample: Any) -> TimedEnvironment:
        return TimedEnvironment(await self._meter.timed("environment", self._task.open(sample)), self._meter)


def measure(config: Any, task: Any, models: Roles, engine: Any, concurrency: int) -> dict[str, float]:
    """CPU and wall seconds of one evaluation."""
    meter = Meter()
    timed = TimedModel(models.policy, meter)
    settings = EvaluationSettings(concurrency=concurrency)
    thread: Callable[[], float] = lambda: time.clock_gettime(time.pthread_getcpuclockid(engine._thread.ident))  # noqa: E731
    with tempfile.TemporaryDirectory() as directory:
        store = ResultStore(directory)
        forward, loop, wall = thread(), time.thread_time(), time.perf_counter()
        counts = asyncio.run(
            run_episodes(
                TimedTask(task, meter),
                Method(config.method),
                Roles.all_one(timed),
                store,
                settings,
                budget=config.budget,
            )
        )
        forward, loop, wall = thread() - forward, time.thread_time() - loop, time.perf_counter() - wall
    assert counts.finished == len(task.samples), counts
    meter.begin()
    engine_own = loop - sum(meter.cpu.values())
    return {
        "model": forward + meter.cpu["rendering"],
        "rendering": meter.cpu["rendering"],
        "environment": meter.cpu["environment"],
        "engine": engine_own,
        "engine_share": engine_own / (forward + loop),
        "idle_wall": meter.idle / wall,
        "wall": wall,
        "calls": meter.calls,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--method", default="react")
    parser.add_argument("--profile", action="store_true", help="show where the event loop's thread spends its time")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as output, initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        overrides = [f"task.samples={options.samples}", f"task.max_rounds={options.rounds}", f"paths.output={output}"]
        chosen = ["tuning=none", f"method={options.method}", "backend.threads=1", "backend.device=cpu"]
        chosen.append("method.max_tokens.action=24")
        config = configuration.from_hydra(compose("config", overrides=[*overrides, *chosen]))
        task = configuration.load(f"agentx.tasks.{config.task.name}.task:make_task")(config.task, config.paths)
        models = roles.open_roles(config, None, Path(output))
        engine = models.policy.wrapped.engine  # type: ignore[attr-defined]
        measure(config, task, models, engine, 32)  # games, layouts and prompts are made once
        runs: dict[int, list[dict[str, float]]] = {1: [], 8: [], 32: []}
        profile = cProfile.Profile()
        for _ in range(options.repeats):
            for concurrency, measured in runs.items():
                if options.profile:
                    profile.enable()
                measured.append(measure(config, task, models, engine, concurrency))
                profile.disable()
        asyncio.run(models.policy.close())
    if options.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)
    rows = {}
    for concurrency, measured in runs.items():
        rows[str(concurrency)] = {
            name: round(statistics.median(run[name] for run in measured), 4) for name in measured[0]
        }
        row = rows[str(concurrency)]
        print(
            f"{concurrency:3d} in play: engine {100 * row['engine_share']:.2f} % of the CPU time, "
            f"model {row['model']:.2f} s, environments {row['environment']:.2f} s, engine {row['engine']:.2f} s",
            flush=True,
        )
    result = {
        "benchmark": "overhead",
        "method": options.method,
        "episodes": options.samples,
        "rounds": options.rounds,
        "repeats": options.repeats,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "runs": rows,
        "worst_engine_share": max(row["engine_share"] for row in rows.values()),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
