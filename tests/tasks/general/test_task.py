"""The general suite as a task: openings, episodes, metrics, methods, demonstrations."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from agentx import config as configuration
from agentx.construction.demonstrations import expert_conversations, identity
from agentx.conversation import Message
from agentx.errors import ConfigError
from agentx.models.chat import Completion, Request, Roles, Sampling
from agentx.pretraining.skills import split_of
from agentx.reasoning.method import EpisodeContext, Method
from agentx.reasoning.settings import BudgetSettings, MethodSettings
from agentx.tasks.environment import Action, Environment, Task
from agentx.tasks.general.environment import GeneralEnvironment
from agentx.tasks.general.questions import Question
from agentx.tasks.general.settings import Settings
from agentx.tasks.general.task import GeneralTask, make_task
from agentx.trajectory import Outcome, Trajectory, Verdict

ROOT = Path(__file__).resolve().parents[3]
ASKED = Question("q1", "geography", "Capital of France?", ("Paris",))


class Model:
    """Gives one reply to everything and remembers what it was sent."""

    name, context_length = "scripted", 1 << 20

    def __init__(self, reply: str) -> None:
        self.reply = reply
        self.sent: list[list[Message]] = []

    async def generate(self, messages: Any, sampling: Sampling, request: Request) -> Completion:
        self.sent.append(list(messages))
        return Completion(self.reply, 1, 1)

    def count_tokens(self, messages: Any) -> int:
        return 1

    async def close(self) -> None:
        pass


def solved(task: GeneralTask, index: int, reply: str, style: str = "io", shots: int = 0) -> tuple[Trajectory, Model]:
    sample = task.samples[index]
    model = Model(reply)
    context = EpisodeContext(0, sample.id, 0, task.opening(sample, style, shots), metadata={"kind": sample.kind})

    async def solve() -> Trajectory:
        environment = await task.open(sample)
        settings = MethodSettings(name=style, style=style, shots=shots, multiline_actions=True)
        return await Method(settings).solve(environment, Roles.all_one(model), BudgetSettings(), context)

    return asyncio.run(solve()), model


@pytest.fixture(scope="module")
def suite() -> GeneralTask:
    return make_task(Settings(samples=80), None)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.jsonl"
    records = [
        {"question": "Capital of France?", "answer": "Paris", "skill": "geography"},
        {"question": "2 + 2?", "answer": 4, "scoring": "number", "skill": "sums"},
        {"question": "Capital of Italy?", "answer": "Rome", "example": True},
    ]
    path.write_text("\n".join(map(json.dumps, records)))
    return path


def test_satisfies_the_protocols(suite: GeneralTask) -> None:
    assert isinstance(suite, Task) and suite.label == "general (generated)"
    assert isinstance(GeneralEnvironment(ASKED, Settings()), Environment)
    assert {sample.family for sample in suite.samples} == {"general"}


def test_a_question_is_put_as_the_general_data_puts_it_and_the_reply_is_the_answer(suite: GeneralTask) -> None:
    for index, sample in enumerate(suite.samples):
        question = suite.questions[sample.id]
        trajectory, model = solved(suite, index, question.expected)
        assert model.sent == [[*question.before, Message("user", question.text)]]
        assert (trajectory.reward, trajectory.success, trajectory.outcome) == (1.0, True, Outcome.COMPLETED)
        (step,) = trajectory.paths[0].steps
        assert step.verdict is Verdict.VALID and step.executed == question.expected


@pytest.mark.parametrize("reply", ["", "no idea", "ACTION: none", "x" * 100_000])
def test_no_reply_is_a_format_error_where_there_is_no_format(suite: GeneralTask, reply: str) -> None:
    trajectory, _ = solved(suite, 0, reply)
    assert (trajectory.reward, trajectory.outcome) == (0.0, Outcome.COMPLETED)
    assert trajectory.paths[0].steps[0].verdict is Verdict.VALID


def test_reasoning_first_needs_the_label(mine: Path) -> None:
    task = make_task(Settings(path=mine, style="cot"), None)
    trajectory, model = solved(task, 0, "It is in France.\nACTION: Paris", "cot")
    assert trajectory.reward == 1.0
    assert "ACTION:" in model.sent[0][-1].content and model.sent[0][-1].content.endswith("\nCapital of France?")
    trajectory, _ = solved(task, 0, "Paris", "cot")
    assert (trajectory.reward, trajectory.outcome) == (0.0, Outcome.INVALID_FORMAT)


def test_instruction_and_worked_examples(mine: Path, suite: GeneralTask) -> None:
    task = make_task(Settings(path=mine, instruction="One word."), None)
    _, model = solved(task, 0, "Paris", shots=1)
    assert [(m.role, m.content) for m in model.sent[0]] == [
        ("user", "One word.\nCapital of Italy?"),
        ("assistant", "Rome"),
        ("user", "One word.\nCapital of France?"),
    ]
    with pytest.raises(ConfigError, match=r"method\.shots=2: .*mine\.jsonl marks 1 records as example"):
        task.opening(task.samples[0], "io", 2)
    shown = suite.opening(suite.samples[0], "io", 2)
    assert [message.role for message in shown] == ["user", "assistant"] * 2
    assert {split_of(message.content) for message in shown[::2]} == {"train"}
    with pytest.raises(ConfigError, match=r"method\.shots=1: .*method=io alone"):
        suite.opening(suite.samples[0], "cot", 1)


def test_accuracy_is_micro_macro_and_by_area(suite: GeneralTask) -> None:
    copied = [solved(suite, index, suite.questions[s.id].expected)[0] for index, s in enumerate(suite.samples[:2])]
    missed = solved(suite, 2, "?")[0]
    assert [suite.questions[s.id].skill for s in suite.samples[:3]] == ["copy_list", "copy_one", "relist"]
    metrics = suite.aggregate([*copied, missed])
    assert metrics["accuracy_micro"] == metrics["accuracy_macro"] == pytest.approx(2 / 3)
    assert (metrics["copying"], metrics["formats"]) == (1.0, 0.0)
    assert suite.aggregate([]) == {}


def test_macro_weighs_skills_alike(tmp_path: Path) -> None:
    path = tmp_path / "skewed.jsonl"
    records = [{"question": f"{n}?", "answer": "x", "skill": "a" if n < 3 else "b"} for n in range(4)]
    path.write_text("\n".join(map(json.dumps, records)))
    task = make_task(Settings(path=path, samples=None), None)
    metrics = task.aggregate([solved(task, n, "x" if n < 3 else "y")[0] for n in range(4)])
    assert metrics == {"accuracy_micro": 0.75, "accuracy_macro": 0.5}


def test_a_file_names_itself_and_what_of_it_is_asked(mine: Path) -> None:
    assert make_task(Settings(path=mine), None).label == "general (mine.jsonl)"
    assert make_task(Settings(path=mine, samples=1), None).label == "general (mine.jsonl, 1 of 2)"
    only = make_task(Settings(path=mine, skills=["sums"]), None)
    assert [only.questions[sample.id].text for sample in only.samples] == ["2 + 2?"]
    with pytest.raises(ConfigError, match=r"task\.skills=\['nothing'\]"):
        make_task(Settings(path=mine, skills=["nothing"]), None)


def test_an_environment_takes_one_reply_and_forks() -> None:
    async def play() -> None:
        environment = GeneralEnvironment(ASKED, Settings())
        with pytest.raises(RuntimeError):
            await environment.step(Action(None, "Paris"))
        assert (await environment.reset()).text == "Capital of France?"
        fork = await environment.fork()
        assert (await environment.step(Action(None, "Rome"))).reward == 0.0
        assert (await fork.step(Action(None, "Paris"))).reward == 1.0
        with pytest.raises(RuntimeError):
            await environment.step(Action(None, "Paris"))
        await environment.close()

    asyncio.run(play())


def checked(*overrides: str) -> configuration.Config:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return configuration.from_hydra(compose("config", overrides=["task=general", *overrides]))


def test_the_method_is_io_unless_another_is_asked_for() -> None:
    assert (checked().method.name, checked().task.style) == ("io", "io")
    assert checked("method=cot").task.style == "cot"
    assert checked("method=ours", "job=report").method.name == "ours"


@pytest.mark.parametrize("method", ["decompose", "branch", "backtrack", "best_of_n", "tot", "ours"])
def test_a_search_over_one_reply_is_refused(method: str) -> None:
    with pytest.raises(ConfigError, match=rf"method={method}: task=general asks one question"):
        checked(f"method={method}")


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("task.samples=null", r"task\.samples=null"),
        ("task.samples=0", r"task\.samples=0: must be at least 1"),
        ("task.seed=-1", r"task\.seed=-1"),
        ("task.style=cot", r"task\.style=cot: must be the method's, io"),
        ("task.multiline_actions=false", r"task\.multiline_actions=false"),
        ("task.skils=[x]", "skils"),
    ],
)
def test_wrong_options_are_named(override: str, problem: str) -> None:
    with pytest.raises(Exception, match=problem):
        checked(override)


def test_demonstrations_are_training_questions_with_their_answers() -> None:
    made = expert_conversations("general", Settings(), 40, 0, 0)
    assert len(made) == 40
    held = {question.text for question in make_task(Settings(), None).questions.values()}
    for conversation in made:
        first, *_, last = conversation.messages
        assert split_of(first.content) == "train" and first.content not in held
        assert last.role == "assistant" and last.trained
        assert [str(purpose) for purpose in conversation.metadata["purpose"]] == ["act"]
    assert made == expert_conversations("general", Settings(samples=5, seed=3), 40, 0, 0)
    assert set(identity("general", Settings(), 0)["methods"]) == {"io"}
    assert set(identity("household", checked("task=household").task, 0)["methods"]) > {"io", "react"}
