"""`job=data` as a user runs it, and its parts on planted data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from agentx import config as configuration
from agentx.config import load
from agentx.conversation import Message
from agentx.jobs.preview_text import rendered_example
from agentx.models.loading import load_renderer, load_tokenizer
from agentx.models.settings import ModelSettings

ROOT = Path(__file__).resolve().parents[2]
TINY = ModelSettings(name="tiny", chat_template="tiny")


def record(number: int, question: str, answer: str) -> str:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer, "loss": True}]
    return json.dumps({"id": str(number), "source": "mine", "conversations": turns}) + "\n"


@pytest.fixture(scope="module")
def previewed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict]:
    """One run over planted data: an evaluation sample, a repetition, a broken record, an over-long conversation."""
    folder = tmp_path_factory.mktemp("data")
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = configuration.from_hydra(compose("config", overrides=["task=db", "task.samples=6"]))
    task = load("agentx.tasks.database.task:make_task")(config.task, config.paths)
    planted = next(iter(task.statements().values()))
    lines = [record(n, f"Question {n} about the number {n * 7}?", f"It is {n}.") for n in range(20)]
    lines += [record(20, planted, "SELECT 1"), record(21, "Question 3 about the number 21?", "It is 3.")]
    lines += [record(22, "Long? " + "word " * 900, "Yes."), '{"conversations": 5}\n']
    (folder / "agent.jsonl").write_text("".join(lines))
    (folder / "general.jsonl").write_text("".join(record(n, f"What is {n} + {n}?", f"{2 * n}") for n in range(10)))
    command = [
        *(sys.executable, "run.py", "job=data", "task=db", "task.samples=6", "data=files", "data.on_error=skip"),
        *(f"data.agent=[{folder}/agent.jsonl]", f"data.general=[{folder}/general.jsonl]", "lambda=0.3"),
        *("tuning.max_length=512", "job.example=1", f"paths.output={folder}/out"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, env={**os.environ})
    assert done.returncode == 0, done.stderr[-3000:]
    path = Path(done.stdout.rstrip().splitlines()[-1].split(maxsplit=1)[1])
    return done.stdout, json.loads(path.read_text())


def test_counts_duplicates_skips_and_lengths(previewed: tuple[str, dict]) -> None:
    _, found = previewed
    agent = found["sides"]["agent"]
    assert (agent["conversations"], agent["skipped"], agent["dropped"]) == (23, 1, 1)
    assert found["sides"]["general"]["conversations"] == 10
    assert agent["sources"]["mine"]["lengths"]["max"] > 512 > agent["sources"]["mine"]["lengths"]["p50"]
    assert found["duplicates"]["exact"]["agent"] == 1
    assert found["duplicates"]["exact"]["first"] == [["mine:21", "mine:3"]]
    assert found["skipped"]["agent"][0].endswith("agent.jsonl:24: conversations must be a list of turns, this is a int")


def test_the_mix_is_what_tuning_would_draw(previewed: tuple[str, dict]) -> None:
    _, found = previewed
    mix = found["mix"]
    assert mix["lambda"] == 0.3 and mix["steps"] == 120 and mix["examples"] == 120 * 16
    assert abs(mix["lambda_examples"] - 0.3) < 0.05 and mix["lambda_tokens"] != mix["lambda_examples"]


def test_a_planted_evaluation_sample_is_found(previewed: tuple[str, dict]) -> None:
    text, found = previewed
    contamination = found["contamination"]
    assert contamination["samples"] == 6 and contamination["exact"] == 1 == contamination["known"]
    assert contamination["overlaps"][0]["conversations"][0] == "mine:20"
    assert "mine:20" in text and "Contamination" in text


def test_an_example_is_shown_with_its_trained_part_marked(previewed: tuple[str, dict]) -> None:
    text, _ = previewed
    assert "agent example mine:1, trained part between ⟦ and ⟧" in text
    assert "⟦It is 1.<|end|>⟧" in text and "Question 1 about the number 7?" in text


def test_marks_do_not_let_text_take_over_the_terminal() -> None:
    renderer, tokenizer = load_renderer(TINY), load_tokenizer(TINY)
    messages = [Message("user", "a\x1b[31mb"), Message("assistant", "fine\nline", trained=True)]
    plain = rendered_example(messages, renderer, tokenizer, colour=False)
    assert "\x1b" not in plain.plain and "\\u001b[31m" in plain.plain and "⟦fine\nline<|end|>⟧" in plain.plain
    coloured = rendered_example(messages, renderer, tokenizer, colour=True)
    assert "⟦" not in coloured.plain
    assert [coloured.plain[s.start : s.end] for s in coloured.spans if "green" in str(s.style)] == ["fine\nline<|end|>"]


@pytest.mark.parametrize("task", ["household", "os", "webshop", "mind2web", "db"])
def test_every_task_tells_what_its_samples_ask(task: str, tmp_path: Path) -> None:
    overrides = [f"task={task}", "task.samples=2", f"paths.output={tmp_path}"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = configuration.from_hydra(compose("config", overrides=overrides))
    try:
        made = load(f"agentx.tasks.{config.task.name}.task:make_task")(config.task, config.paths)
    except configuration.ConfigError:
        raise
    except Exception as error:
        pytest.skip(f"this machine cannot open the task: {error}")
    told = made.statements()
    assert list(told) == [sample.id for sample in made.samples] and all(len(text) > 20 for text in told.values())
