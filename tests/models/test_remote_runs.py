"""Whole evaluations against a scripted server: faults, budgets, the call cache, planner and judge of their own, and
nothing secret left behind."""

import hashlib
import json
import logging
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from agentx import config as configuration
from agentx.errors import ConfigError, UserError
from agentx.evaluation.store import ResultStore
from agentx.jobs import cells, evaluate
from agentx.models import endpoints
from agentx.reports.report import write_report

ROOT = Path(__file__).resolve().parents[2]
Start = Callable[..., Any]
CANARY = "sk-canary-5e1f0d7c9b"
SMALL = ["tuning=none", "task.samples=4", "task.max_rounds=5", "evaluation.retry_delay=0.01"]
ACTIONS = ("look", "inventory", "go to cabinet 1", "go to drawer 1", "go to countertop 1", "open drawer 1")


def reply_to(body: dict[str, Any]) -> str:
    """What a model might say: it depends on the prompt and the seed and on nothing else."""
    asked = json.dumps([body["model"], body["messages"], body["seed"]])
    number = int(hashlib.sha256(asked.encode()).hexdigest(), 16)
    if body["model"] == "planner":
        return "1. look around\n2. find the object"
    if body["model"] == "judge":
        return ("Yes", "No", "1", "2", "7")[number % 5]
    return f"THOUGHT: on\nACTION: {ACTIONS[number % len(ACTIONS)]}"


def honest(server: Any) -> Callable[[dict[str, Any], int], tuple[Any, ...]]:
    return lambda body, n: (200, server.completion(reply_to(body), prompt_tokens=50, completion_tokens=8))


def served(url: str, *more: str) -> list[str]:
    model = ["model=custom", "model.source=org/policy", "model.context_length=8192", "backend=openai"]
    return [*SMALL, *model, f"backend.base_url={url}", "backend.max_concurrency=8", *more]


def configure(output: Path, *overrides: str) -> Any:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return configuration.from_hydra(compose("config", overrides=[*overrides, f"paths.output={output}"]))


def play(output: Path, *overrides: str) -> Path:
    config = configure(output, *overrides)
    directory = cells.open_cell(config, "cells", evaluate.label(config), evaluate.identity(config, None))
    evaluate.evaluate(config, None, directory)
    return directory


def summary_of(cell: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((cell / "summary.json").read_text())
    return summary


def course(cell: Path) -> list[dict[str, Any]]:
    """The trajectories, without seconds and token counts."""
    kept = []
    for trajectory in ResultStore(cell).trajectories():
        record = trajectory.to_dict()
        del record["seconds"]
        for call in record["calls"]:
            for name in ("seconds", "prompt_tokens", "completion_tokens", "cached_tokens", "estimated", "from_cache"):
                del call[name]
        kept.append(record)
    return kept


def seen(server: Any) -> list[str]:
    return sorted(json.dumps(body, sort_keys=True) for body in server.bodies)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "FIRST_PAUSE", 0.01)
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)


class Faulty:
    """Breaks one call in five, drawn at random, in one way after the other."""

    def __init__(self, server: Any, rate: float = 0.2) -> None:
        self.server, self.rate = server, rate
        self.random, self.lock = random.Random(5), threading.Lock()
        self.counts: dict[str, int] = {}

    def __call__(self, body: dict[str, Any], n: int) -> tuple[Any, ...]:
        with self.lock:
            fault = "none"
            if self.random.random() < self.rate:
                fault = KINDS[(sum(self.counts.values()) - self.counts.get("none", 0)) % len(KINDS)]
            self.counts[fault] = self.counts.get(fault, 0) + 1
        answer = self.server.completion(reply_to(body), prompt_tokens=50, completion_tokens=8)
        error = {"error": {"message": "an error"}}
        match fault:
            case "429":
                return 429, error, {}
            case "429 with Retry-After":
                return 429, error, {"Retry-After": "0.02"}
            case "500":
                return 500, error
            case "slow body":
                return 200, self.trickle()
            case "cut connection":
                return 0, None
            case "cut body":
                return 200, iter([json.dumps(answer).encode()[:40]]), {"Content-Length": "400"}
            case "no choices":
                return 200, {**answer, "choices": []}
            case "invalid JSON":
                return 200, json.dumps(answer).encode()[:-9]
            case "wrong token counts":
                return 200, {**answer, "usage": {"prompt_tokens": 10**12, "completion_tokens": -7, "total_tokens": "x"}}
        return 200, answer

    @staticmethod
    def trickle() -> Any:
        for _ in range(30):
            yield b" "
            time.sleep(0.1)


KINDS = (
    "429",
    "429 with Retry-After",
    "500",
    "slow body",
    "cut connection",
    "cut body",
    "no choices",
    "invalid JSON",
    "wrong token counts",
)


def test_a_server_that_fails_one_call_in_five_changes_nothing(
    scripted_server: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No episode lost, counted against the agent or played twice; the same course as without faults."""
    sound, faulty = scripted_server(), scripted_server()
    sound.answer = honest(sound)
    faults = faulty.answer = Faulty(faulty)
    options = ["task.samples=5", "evaluation.trials=2", "task.max_rounds=8", "budget.max_tokens=100000"]
    reference = play(tmp_path / "sound", *served(sound.url, *options))
    cell = play(tmp_path / "faulty", *served(faulty.url, *options, "backend.timeout=1.0"))
    assert set(faults.counts) == {"none", *KINDS}, faults.counts
    broken = sum(number for kind, number in faults.counts.items() if kind != "none")
    assert broken / len(faulty.bodies) > 0.15
    summary = summary_of(cell)
    assert summary["n"] == 10 and summary["complete"] and not summary["infrastructure_errors"]
    assert course(cell) == course(reference)
    assert len((cell / "episodes.jsonl").read_text().splitlines()) == 10
    assert "greedy trials of a sample mostly repeat each other" in caplog.text
    used = summary["spending"]["roles"]["policy"]
    assert used["estimated"] == faults.counts["wrong token counts"]
    assert used["calls"] == sum(len(t.calls) for t in ResultStore(cell).trajectories()) == len(sound.bodies)
    print(f"faults {faults.counts} in {len(faulty.bodies)} requests, 10 episodes")


def test_the_order_of_play_changes_no_request(scripted_server: Start, tmp_path: Path) -> None:
    played, requests = [], []
    for concurrency in (1, 32):
        server = scripted_server()
        server.answer = honest(server)
        more = ["method=ours", f"evaluation.concurrency={concurrency}", "task.samples=5", "task.max_rounds=3"]
        played.append(play(tmp_path / str(concurrency), *served(server.url, *more)))
        requests.append(seen(server))
    assert requests[0] == requests[1] and len(requests[0]) > 50
    assert course(played[0]) == course(played[1])
    assert "server promises no repetition" in summary_of(played[0])["not_repeatable"]["policy"]


def test_on_a_cpu_the_order_of_play_changes_nothing_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped model in this process, float32: the same requests and the same replies, sampled ones too."""
    from agentx.models.transformers_backend import TransformersModel

    asked: list[str] = []
    generate = TransformersModel.generate

    async def recorded(self: Any, messages: Any, sampling: Any, request: Any) -> Any:
        asked.append(json.dumps([request.seed, str(sampling), [m.to_dict() for m in messages]]))
        return await generate(self, messages, sampling, request)

    monkeypatch.setattr(TransformersModel, "generate", recorded)
    played, requests = [], []
    for concurrency in (1, 32):
        more = ["method=ours", "method.policy_temperature=0.8", "method.max_tokens.action=16", "backend.device=cpu"]
        sizes = [f"evaluation.concurrency={concurrency}", "task.samples=12", "task.max_rounds=3"]
        played.append(play(tmp_path / str(concurrency), *SMALL, *more, *sizes))
        requests.append(sorted(asked))
        asked.clear()
    assert requests[0] == requests[1] and len(requests[0]) > 30
    assert course(played[0]) == course(played[1])
    assert summary_of(played[0])["not_repeatable"] == {}


def test_a_repeated_run_asks_no_model(scripted_server: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = scripted_server()
    server.answer = honest(server)
    cache = f"cache.directory={tmp_path / 'cache'}"
    first = play(tmp_path / "1", *served(server.url, "cache=write", cache))
    asked = len(server.bodies)
    with caplog.at_level(logging.INFO):
        second = play(tmp_path / "2", *served(server.url, "cache=write", cache, "run_budget.max_tokens=1"))
    assert len(server.bodies) == asked > 10
    assert course(first) == course(second)
    assert f"{asked} of {asked} calls of custom answered from it (100 %)" in caplog.text
    spending = summary_of(second)["spending"]
    assert spending["cache"] == {"calls": asked, "hits": asked, "hit_rate": 1.0}
    assert spending["roles"]["policy"]["from_cache"] == {"calls": asked, "tokens": 58 * asked}
    assert spending["roles"]["policy"]["calls"] == spending["run"]["calls"] == 0
    assert summary_of(first)["cost"] == summary_of(second)["cost"]
    read = play(tmp_path / "3", *served(server.url, "cache=read", cache, "seed=1"))
    assert len(server.bodies) > asked and summary_of(read)["spending"]["cache"]["hits"] == 0


@pytest.mark.parametrize(
    ("limit", "larger"), [("max_calls=12", "max_calls=1000"), ("max_tokens=690", "max_tokens=100000")]
)
def test_the_runs_budget_stops_it_and_a_larger_one_goes_on(
    scripted_server: Start, tmp_path: Path, limit: str, larger: str
) -> None:
    server = scripted_server()
    server.answer = honest(server)
    options = served(server.url, "evaluation.concurrency=2")
    cell = play(tmp_path, *options, f"run_budget.{limit}")
    first = len(server.bodies)
    assert 12 <= first <= 13
    summary = summary_of(cell)
    assert summary["stopped"] == f"run_budget.{limit}"
    assert 0 < summary["n"] < 4 and not summary["infrastructure_errors"] and not summary["complete"]
    assert summary["spending"]["run"]["calls"] == first
    kept = course(cell)
    assert play(tmp_path, *options, f"run_budget.{limit}") == cell
    assert len(server.bodies) == first
    assert play(tmp_path, *options, f"run_budget.{larger}") == cell
    assert summary_of(cell)["complete"] and summary_of(cell)["stopped"] is None
    assert [episode for episode in course(cell) if episode in kept] == kept
    assert summary_of(cell)["spending"]["run"]["calls"] == len(server.bodies)
    assert summary_of(cell)["spending"]["roles"]["policy"]["calls"] < len(server.bodies)


PRICES = "judge: {prompt: 100, completion: 1000, date: '2026-01-01', source: made up for this test}\n"


@pytest.fixture()
def trio(scripted_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any, list[str]]:
    """Servers for planner and judge, and the options that put them beside tiny."""
    planner, judge = scripted_server(), scripted_server()
    planner.answer, judge.answer = honest(planner), honest(judge)
    monkeypatch.setenv("JUDGE_KEY", CANARY)
    (tmp_path / "prices.yaml").write_text(PRICES)
    return (
        planner,
        judge,
        [
            *SMALL,
            "method=ours",
            "task.samples=2",
            "task.max_rounds=3",
            "method.max_tokens.action=16",
            *("planner=llama2-7b", "planner.api_name=planner"),
            *("planner_backend=openai", f"planner_backend.base_url={planner.url}"),
            *("judge=gpt-4", "judge.api_name=judge", "judge_backend=openai", f"judge_backend.base_url={judge.url}"),
            "judge_backend.api_key_env=JUDGE_KEY",
            f"paths.prices={tmp_path / 'prices.yaml'}",
        ],
    )


def test_planner_and_judge_of_their_own(trio: tuple[Any, Any, list[str]], tmp_path: Path) -> None:
    """As a process: tiny in it, planner and judge behind servers."""
    planner, judge, options = trio
    done = run(tmp_path / "out", *options)
    assert done.returncode == 0 and CANARY not in done.stdout + done.stderr, done.stderr[-2000:]
    (cell,) = (tmp_path / "out" / "cells").iterdir()
    assert {body["model"] for body in planner.bodies} == {"planner"} and planner.keys[0] == "Bearer none"
    assert {body["model"] for body in judge.bodies} == {"judge"} and judge.keys[0] == f"Bearer {CANARY}"
    calls = [call for trajectory in ResultStore(cell).trajectories() for call in trajectory.calls]
    for role, server in (("planner", planner), ("judge", judge)):
        assert sum(call.role == role for call in calls) == len(server.bodies) > 0
    spending = summary_of(cell)["spending"]
    for role, server in (("planner", planner), ("judge", judge)):
        used, number = spending["roles"][role], len(server.bodies)
        assert [used[k] for k in ("calls", "prompt_tokens", "cached_tokens", "completion_tokens")] == [
            n * number for n in (1, 50, 8, 8)
        ]
    local = [call for call in calls if call.role == "policy"]
    assert spending["roles"]["policy"]["calls"] == len(local) > 0
    assert spending["roles"]["policy"]["prompt_tokens"] == sum(call.prompt_tokens for call in local)
    assert spending["roles"]["judge"]["cost"] == pytest.approx(
        len(judge.bodies) * (42 * 100 + 8 * 100 + 8 * 1000) / 1e6
    )
    assert spending["roles"]["policy"]["cost"] is None and spending["priced"] == "known"
    assert spending["cost"] == spending["run"]["cost"] == spending["roles"]["judge"]["cost"]
    assert spending["cost_per_episode"] == pytest.approx(spending["cost"] / 2)
    assert set(summary_of(cell)["not_repeatable"]) == {"planner", "judge"}
    identity = json.loads((cell / "identity.json").read_text())
    assert identity["judge"]["weights"] == "judge" and identity["planner"]["backend"] == "openai"
    assert cell.name.startswith("household-tiny-untuned-ours-planner_llama2-7b-judge_gpt-4-")
    asked = len(judge.bodies)
    write_report(tmp_path / "out" / "cells", tmp_path / "report")
    report = (tmp_path / "report" / "report.md").read_text()
    for part in ("gpt-4", "USD", "promise"):
        assert part in report, report
    assert play(tmp_path / "out", *options) == cell and len(judge.bodies) == asked
    assert CANARY.encode() not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_costs_stop_a_run_at_the_judges_price(trio: tuple[Any, Any, list[str]], tmp_path: Path) -> None:
    _, judge, options = trio
    cell = play(tmp_path / "out", *options, "run_budget.max_cost=0.05", "evaluation.concurrency=1")
    assert summary_of(cell)["stopped"] == "run_budget.max_cost=0.05"
    assert len(judge.bodies) == 4  # at 0.013 each


def test_a_cost_that_is_not_known_is_said_so(scripted_server: Start, tmp_path: Path) -> None:
    server = scripted_server()
    server.answer = honest(server)
    options = [*SMALL, "model=gpt-4", "model.api_name=nobody-knows", "backend=openai", f"backend.base_url={server.url}"]
    spending = summary_of(play(tmp_path, *options, "task.samples=1"))["spending"]
    assert spending["priced"] == "unknown" and spending["cost"] is None and spending["run"]["cost"] is None
    write_report(tmp_path / "cells", tmp_path / "report")
    assert "unknown" in (tmp_path / "report" / "report.md").read_text()


REFUSED: dict[str, str] = {
    "planner=gpt-4 tuning=none": "planner=gpt-4: method=react as it is set never asks a planner",
    "judge=gpt-4 tuning=none method=cot": "judge=gpt-4: method=cot as it is set never asks a judge",
    "planner=gpt-4 tuning=none method=branch": "planner=gpt-4: method=branch",
    "judge_backend=openai method=ours tuning=none": "there is no judge of its own",
    "judge=gpt-4 judge.shots=-1 method=ours tuning=none": "judge.shots=-1",
    "judge=gpt-4 judge_backend=openai judge_backend.timeout=0 method=ours tuning=none": "judge_backend.timeout=0",
    "run_budget.max_cost=1 tuning=none": "no token of this run is paid for",
    "run_budget.max_cost=1 tuning=none method=ours judge=gpt-4 judge.api_name=x": "the price of x (judge) is not known",
    "run_budget.max_calls=0": "run_budget.max_calls=0: must be above 0",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_what_makes_no_sense_is_one_line(arguments: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        configure(tmp_path, *arguments.split())
    assert REFUSED[arguments] in str(caught.value) and "\n" not in str(caught.value)


def run(output: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "run.py"), *arguments, f"paths.output={output}"]
    given = {**os.environ, **environment}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, env=given)


def test_a_server_that_goes_away_stops_the_run_which_then_resumes(scripted_server: Start, tmp_path: Path) -> None:
    """As a process: one line, an exit code, finished episodes kept, the same command does the rest."""
    server = scripted_server()
    port = server.url.split(":")[2].split("/")[0]

    def dies(body: dict[str, Any], n: int) -> tuple[Any, ...]:
        if n == 12:
            server.stop_listening()
        return honest(server)(body, n) if n <= 12 else (0, None)

    server.answer = dies
    options = served(server.url, "evaluation.concurrency=1", "backend.max_retries=1", "evaluation.retries=1")
    stopped = run(tmp_path, *options)
    lines = stopped.stderr.strip().splitlines()
    assert stopped.returncode == 1 and len(lines) == 1, stopped.stderr
    assert lines[0].startswith("error: stopped: ") and f"nobody answers at http://127.0.0.1:{port}/v1" in lines[0]
    assert "run the same command again" in lines[0]
    (cell,) = (tmp_path / "cells").iterdir()
    kept = course(cell)
    assert len(kept) == 2 and summary_of(cell)["n"] == 2
    again = scripted_server(port=int(port))
    again.answer = honest(again)
    done = run(tmp_path, *options)
    assert done.returncode == 0, done.stderr
    assert summary_of(cell)["complete"] and course(cell)[:2] == kept


LEAKS = {
    "a wrong key": (lambda body, n: (401, {"error": {"message": f"Incorrect API key provided: {CANARY}"}})),
    "a refusal that repeats the key": (lambda body, n: (400, {"error": {"message": f"bad {CANARY}"}})),
    "a fault that repeats it": (lambda body, n: (500, {"error": {"message": f"Authorization: Bearer {CANARY}"}})),
    "a reply that is the key": None,
    "a body that is none": (lambda body, n: (200, f"<html>{CANARY}".encode())),
}


@pytest.mark.parametrize("kind", LEAKS)
def test_no_failure_leaves_the_key_behind(
    scripted_server: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    """In logs of any level, errors and their tracebacks, and every file written."""
    import traceback

    server = scripted_server()
    server.answer = LEAKS[kind] or (lambda body, n: (200, server.completion(f"ACTION: look {CANARY}")))
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    options = [*SMALL, "model=gpt-4", "backend=openai", f"backend.base_url={server.url}", "task.samples=2"]
    few = ["backend.max_retries=1", "evaluation.retries=0", "evaluation.give_up_after=2", "cache=write"]
    text = ""
    with caplog.at_level(logging.DEBUG):
        try:
            play(tmp_path, *options, *few)
        except Exception as error:
            assert isinstance(error, UserError), error
            text = "".join(traceback.format_exception(error))
    assert server.keys[0] == f"Bearer {CANARY}"
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for where, content in (("log", caplog.text), ("error", text), ("files", files.decode(errors="replace"))):
        assert CANARY not in content, where
    assert len(files) > 1000


def test_a_process_that_fails_loudly_keeps_the_key_to_itself(scripted_server: Start, tmp_path: Path) -> None:
    """With every debug message, tracebacks, and W&B's files."""
    server = scripted_server(LEAKS["a fault that repeats it"])
    options = [*SMALL, "model=gpt-4", "backend=openai", f"backend.base_url={server.url}", "task.samples=2"]
    few = ["backend.max_retries=0", "evaluation.retries=0", "evaluation.give_up_after=1", "hydra.verbose=true"]
    logged = ["logger=wandb", "logger.mode=offline", f"hydra.run.dir={tmp_path / 'hydra'}"]
    done = run(tmp_path / "out", *options, *few, *logged, OPENAI_API_KEY=CANARY, WANDB_MODE="offline")
    assert done.returncode == 1 and "error: stopped" in done.stderr, done.stderr[-2000:]
    assert CANARY not in done.stdout + done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("wandb" in str(path) for path in files)
    assert not [path for path in files if CANARY.encode() in path.read_bytes()]


def test_a_missing_key_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^gpt-4: needs an API key in the environment variable OPENAI_API_KEY"):
        play(tmp_path, *SMALL, "model=gpt-4", "backend=openai")
