"""A real vLLM: in its own process' engine and behind its server, against transformers. Needs `make vllm`."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentx.models.server import server_command
from agentx.models.settings import BackendSettings, ModelSettings

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path(os.environ.get("AGENTX_VLLM_PYTHON", ROOT / ".venv-vllm" / "bin" / "python"))
PATIENCE = 1500
"""Seconds for what starts an engine: half a minute where cores are idle, many times that where they are shared."""
pytestmark = [
    pytest.mark.skipif(not PYTHON.is_file(), reason="no .venv-vllm here; `make vllm` sets it up"),
    pytest.mark.timeout(2 * PATIENCE),
]

TINY = {"name": "tiny", "chat_template": "tiny"}
GREEDY = {"temperature": 0.0, "max_tokens": 24}
HOT = {"temperature": 1.0, "top_p": 0.95, "max_tokens": 24}
LIMIT = 2048
Answers = dict[str, list[dict[str, Any]]]


def environment() -> dict[str, str]:
    wanted = {
        "PYTHONPATH": str(ROOT),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_ENGINE_READY_TIMEOUT_S": str(PATIENCE),
    }
    return {**os.environ, **wanted}


IN_ONE_PROCESS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
"""On a CPU: the engine's worker in the engine's process, and so half a minute of imports less. `test_run_in_the_engine`
goes without, as users do."""


def conversations() -> list[list[list[str]]]:
    """32 household dialogues of one to four turns."""
    draw = random.Random(11)
    places = ["shelf", "cabinet", "drawer", "desk", "countertop", "fridge", "sinkbasin"]
    things = ["mug", "apple", "knife", "book", "pencil", "plate", "tomato", "cloth"]
    made = []
    for _ in range(32):
        seen = ", ".join(f"a {draw.choice(places)} {draw.randint(1, 6)}" for _ in range(draw.randint(3, 9)))
        goal = f"put a {draw.choice(things)} in {draw.choice(places)}"
        messages = [["user", f"You are in the middle of a room. You see {seen}. Your task is to: {goal}."]]
        for _ in range(draw.randint(0, 3)):
            place, number = draw.choice(places), draw.randint(1, 6)
            messages.append(["assistant", f"THOUGHT: I look at the {place}.\nACTION: go to {place} {number}"])
            messages.append(["user", f"On the {place} {number}, you see a {draw.choice(things)} {draw.randint(1, 3)}."])
        made.append(messages)
    return made


def question(messages: list[list[str]], sampling: dict[str, Any], branch: int = 0) -> dict[str, Any]:
    return {"messages": messages, "sampling": sampling, "branch": branch}


DIALOGUES = conversations()
PLAIN = [question(messages, GREEDY) for messages in DIALOGUES]
STOPPED = [question(messages, {**GREEDY, "stop": [" "]}) for messages in DIALOGUES[:6]]
BRANCHES = [question(DIALOGUES[0], HOT, branch) for branch in (0, 1, 2, 3, 0, 1, 2, 3)]
VERDICTS = [
    question(
        [["user", messages[0][1] + "\nIs the task done? Answer Yes or No."]],
        {"max_tokens": 4, "choices": ["Yes", "No"]},
    )
    for messages in DIALOGUES[:8]
]
PICKS = [question(messages, {"max_tokens": 4, "choices": ["1", "2", "10"]}) for messages in DIALOGUES[8:12]]
TOO_LONG = [question([["user", "the mug is on the shelf " * 600]], GREEDY)]
LONG = [["user", DIALOGUES[0][0][1] + " On the desk 1, you see a mug 1, a book 2, a pencil 3 and a plate 1." * 20]]
FOLLOWING = [
    question(LONG, GREEDY),
    question([*LONG, ["assistant", "ACTION: go to desk 1"], ["user", "Nothing happens."]], GREEDY),
]
GROUPS = {
    "plain": PLAIN,
    "stopped": STOPPED,
    "branches": BRANCHES,
    "verdicts": VERDICTS,
    "picks": PICKS,
    "long": TOO_LONG,
}


def run_of(backend: dict[str, Any], adapter: Path | None = None, **model: Any) -> list[dict[str, Any]]:
    """The adapter's run first: vLLM then answers the other from the same engine."""
    base = {
        "model": {**TINY, **model},
        "backend": backend,
        "adapter": None,
        "questions": [q for group in GROUPS.values() for q in group],
        "one_by_one": FOLLOWING,
    }
    return [{**base, "adapter": adapter and str(adapter), "questions": PLAIN, "one_by_one": []}, base]


def split(answers: list[list[dict[str, Any]]]) -> Answers:
    tuned, base = answers
    out: Answers = {"tuned": tuned}
    for name, group in (*GROUPS.items(), ("following", FOLLOWING)):
        out[name], base = base[: len(group)], base[len(group) :]
    return out


class Started:
    """A process that works while others are waited for; what it says goes to files."""

    def __init__(self, command: list[str], directory: Path, said: str = "", **variables: str) -> None:
        directory.mkdir()
        self._out, self._err = directory / "out", directory / "err"
        given = directory / "in"
        given.write_text(said)
        with given.open() as stdin, self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env={**environment(), **variables}, stdin=stdin, stdout=out, stderr=err
            )

    @property
    def stdout(self) -> str:
        return self._out.read_text()

    @property
    def stderr(self) -> str:
        return self._err.read_text()

    def finish(self, seconds: float = PATIENCE) -> str:
        assert self.process.wait(seconds) == 0, self.stderr[-3000:]
        return self.stdout

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)


def asking(
    python: str | Path, runs: list[dict[str, Any]], directory: Path, command_lines: list[list[str]] | None = None
) -> Started:
    command = [str(python), str(Path(__file__).with_name("ask_models.py"))]
    asked = json.dumps({"runs": runs, "command_lines": command_lines or []})
    return Started(command, directory, asked, **IN_ONE_PROCESS)


def told(asked: Started) -> dict[str, Any]:
    answers: dict[str, Any] = json.loads(asked.finish().partition("ANSWERS\n")[2])
    return answers


def texts(answers: list[dict[str, Any]]) -> list[str]:
    return [answer["text"] for answer in answers]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter with random weights, large enough to change what tiny says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_pretrained(ROOT / "agentx" / "models" / "tiny")
    settings = LoraConfig(
        task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False
    )
    directory = tmp_path_factory.mktemp("lora") / "agent"
    get_peft_model(model, settings).save_pretrained(directory)
    return directory


@dataclass
class Processes:
    """Two engines, a server and a run: each loads for a minute, most of it on one core, so they start together."""

    transformers: Started
    engine: Started
    server: Started
    run: Started
    port: int
    run_output: Path


@pytest.fixture(scope="module")
def processes(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    directory = tmp_path_factory.mktemp("processes")
    sizes = {"cache_gib": 0.5, "max_concurrency": 32, "prefill_tokens": 2048}
    serve = [sys.executable, "run.py", "job=serve", "backend=vllm", "tuning=none", f"paths.output={directory / 'out'}"]
    serve += [f"job.port={port}", f"job.python={PYTHON}", f"model.adapter={adapter}", "job.run=true"]
    serve += [f"job.wait={PATIENCE}", *(f"backend.{name}={value}" for name, value in sizes.items())]
    short = ["method=ours", "budget.max_steps=3", "method.max_tokens.action=12", "backend.cache_gib=0.5"]
    started = Processes(
        engine=asking(PYTHON, run_of({"name": "vllm", **sizes}, adapter), directory / "engine", [gpu_words(adapter)]),
        server=Started(serve, directory / "server", **IN_ONE_PROCESS),
        run=Started(run_words(PYTHON, directory / "cells", "backend=vllm", *short), directory / "run"),
        transformers=asking(sys.executable, run_of({"name": "transformers"}, adapter), directory / "transformers"),
        port=port,
        run_output=directory / "cells",
    )
    yield started
    for process in (started.engine, started.server, started.run, started.transformers):
        process.stop()


def gpu_words(adapter: Path) -> list[str]:
    """What `job=serve` has vLLM told on a machine with GPUs."""
    backend = BackendSettings(
        name="vllm", tensor_parallel_size=2, gpu_memory_utilization=0.8, quantization="fp8", prefix_caching=False
    )
    where = {"python": "python3", "host": "127.0.0.1", "port": 8123, "gpu": True}
    command = server_command(ModelSettings(**TINY), backend, {"agent": adapter}, **where)
    words = list(command.words)
    return words[words.index("serve") + 1 :]


@pytest.fixture(scope="module")
def transformers_answers(processes: Processes) -> Answers:
    return split(told(processes.transformers)["answers"])


@pytest.fixture(scope="module")
def engine_answers(processes: Processes) -> Answers:
    return split(told(processes.engine)["answers"])


@pytest.fixture(scope="module")
def server(processes: Processes) -> Iterator[str]:
    """The server as `job=serve job.run=true` runs it; its address."""
    serving, port = processes.server, processes.port
    while "ready   " not in serving.stdout and serving.process.poll() is None:
        time.sleep(0.5)
    said = serving.stdout
    assert "ready   " in said, said + serving.stderr[-3000:]
    assert f"backend.base_url=http://127.0.0.1:{port}/v1" in said and "model.api_name=agent" in said
    yield f"http://127.0.0.1:{port}/v1"
    serving.process.send_signal(signal.SIGTERM)
    serving.finish(60)
    with socket.socket() as again:
        assert again.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture(scope="module")
def server_answers(server: str, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    backend = {"name": "openai", "base_url": server, "render": "local", "choices": "structured_outputs"}
    tuned, base = run_of(backend, api_name="tiny")
    tuned["model"] = {**tuned["model"], "api_name": "agent"}
    return split(told(asking(sys.executable, [tuned, base], tmp_path_factory.mktemp("asked") / "server"))["answers"])


@pytest.fixture(scope="module", params=["engine", "server"])
def vllm(request: pytest.FixtureRequest) -> Answers:
    answers: Answers = request.getfixturevalue(f"{request.param}_answers")
    return answers


def differing(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> list[int]:
    return [i for i, pair in enumerate(zip(texts(found), texts(expected), strict=True)) if pair[0] != pair[1]]


def test_the_same_greedy_answers(vllm: Answers, transformers_answers: Answers) -> None:
    """float32 on one machine: 32 of 32, token for token. Nothing is excused as a near tie."""
    expected = transformers_answers["plain"]
    assert differing(vllm["plain"], expected) == []
    assert len(set(texts(expected))) > 8
    for field in ("prompt_tokens", "completion_tokens", "finish_reason"):
        assert [a[field] for a in vllm["plain"]] == [a[field] for a in expected]


def test_an_adapter_answers_as_with_peft_and_not_as_its_base(vllm: Answers, transformers_answers: Answers) -> None:
    assert differing(vllm["tuned"], transformers_answers["tuned"]) == []
    assert len(differing(vllm["tuned"], vllm["plain"])) > 8


def test_branches_have_seeds_of_their_own(vllm: Answers) -> None:
    said = texts(vllm["branches"])
    assert said[:4] == said[4:]
    assert len(set(said)) > 1


def test_engine_and_server_draw_the_same(engine_answers: Answers, server_answers: Answers) -> None:
    assert texts(engine_answers["branches"]) == texts(server_answers["branches"])


def test_stop_strings_end_a_reply_and_are_not_in_it(vllm: Answers, transformers_answers: Answers) -> None:
    assert texts(vllm["stopped"]) == texts(transformers_answers["stopped"])
    whole = texts(vllm["plain"])[:6]
    assert texts(vllm["stopped"]) == [text.partition(" ")[0] for text in whole]


def test_a_growing_conversation_reuses_its_beginning(vllm: Answers) -> None:
    first, second = vllm["following"]
    assert first["prompt_tokens"] > 256
    assert second["cached_tokens"] >= 128


def test_an_over_long_prompt_overflows_before_it_is_asked(vllm: Answers, transformers_answers: Answers) -> None:
    assert vllm["long"] == transformers_answers["long"]
    assert f"of tiny's {LIMIT} tokens" in vllm["long"][0]["overflow"]


def test_constrained_answers_are_choices(vllm: Answers) -> None:
    assert set(texts(vllm["verdicts"])) <= {"Yes", "No"}
    assert set(texts(vllm["picks"])) <= {"1", "2", "10"}


def test_constrained_answers_in_the_engine_are_those_of_transformers(
    engine_answers: Answers, transformers_answers: Answers
) -> None:
    for group in ("verdicts", "picks"):
        assert texts(engine_answers[group]) == texts(transformers_answers[group])


def test_vllm_reads_the_printed_command_as_it_is_meant(processes: Processes, adapter: Path) -> None:
    """On a GPU; the command for a CPU is run in `server`."""
    (parsed,) = told(processes.engine)["parsed"]
    expected = {
        "tensor_parallel_size": 2,
        "gpu_memory_utilization": 0.8,
        "quantization": "fp8",
        "enable_prefix_caching": False,
        "enforce_eager": False,
        "enable_lora": True,
        "max_lora_rank": 8,
        "max_model_len": LIMIT,
        "served_model_name": ["tiny"],
        "host": "127.0.0.1",
        "port": 8123,
    }
    assert {name: parsed.get(name) for name in expected} == expected
    assert Path(parsed["model"], "config.json").is_file() and Path(parsed["chat_template"]).is_file()
    assert str(adapter) in str(parsed["lora_modules"])


def run_words(python: str | Path, output: Path, *overrides: str) -> list[str]:
    """A small evaluation as users start it."""
    return [str(python), "run.py", "tuning=none", "task.samples=2", f"paths.output={output}", *overrides]


def summary_in(output: Path) -> dict[str, Any]:
    (cell,) = (output / "cells").iterdir()
    summary: dict[str, Any] = json.loads((cell / "summary.json").read_text())
    return summary


def test_run_in_the_engine(processes: Processes) -> None:
    processes.run.finish()
    assert "Traceback" not in processes.run.stderr, processes.run.stderr[-3000:]
    summary = summary_in(processes.run_output)
    assert summary["complete"] and summary["n"] == 2 and summary["infrastructure_errors"] == 0
    assert summary["cost"]["total"]["calls"] and "verdict_unparsable" not in summary["notices"]


def test_run_over_the_server_to_the_end_of_the_context(server: str, tmp_path: Path) -> None:
    through = ["backend=openai", f"backend.base_url={server}", "backend.render=local"]
    limit = ["model.context_length=24", "model.max_tokens=8"]
    Started(run_words(sys.executable, tmp_path, *through, *limit), tmp_path / "run").finish()
    summary = summary_in(tmp_path)
    assert summary["outcomes"]["context_limit"] == 2


def test_without_vllm_one_line_says_how_to_get_it(tmp_path: Path) -> None:
    command = [sys.executable, "run.py", "backend=vllm", "tuning=none", "task.samples=1", f"paths.output={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode != 0
    assert "make vllm" in done.stderr and "Traceback" not in done.stderr


def test_the_two_environments_agree_on_the_libraries_that_matter() -> None:
    def pins(name: str) -> dict[str, str]:
        lines = [line.partition("==") for line in (ROOT / name).read_text().splitlines() if "==" in line]
        return {package.lower().replace("_", "-"): version for package, _, version in lines if package[0] != "#"}

    ours, theirs = pins("constraints.txt"), pins("requirements-vllm.txt")
    differing = {name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]}
    # What serves pages there, and what installs, is no matter of models.
    assert differing <= {"numpy", "setuptools", "pip", "fastapi", "cachetools"}
