from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agentx.errors import ConfigError
from agentx.reasoning.settings import MethodSettings, TreeSettings
from agentx.tasks.environment import Task, TaskDataError
from agentx.tasks.mind2web.prompts import Decision, Question, decide, expert_reply, opening
from agentx.tasks.mind2web.settings import Settings
from agentx.tasks.mind2web.task import Mind2WebTask, make_task, worked_examples
from agentx.trajectory import Candidate, Outcome, Step, Trajectory, Verdict
from agentx.trajectory import Path as Attempt

NOWHERE = SimpleNamespace(mind2web=None, agentbench=None)


def ended(sample: str, executed: str, reward: float, outcome: Outcome = Outcome.COMPLETED) -> Trajectory:
    step = Step(0, [Candidate("", None)], 0, "", reward, True, Verdict.VALID, executed=executed)
    path = Attempt(0, [], steps=[step], reward=reward, outcome=outcome)
    return Trajectory(sample, paths=[path], reward=reward, outcome=outcome)


@pytest.fixture
def task(make_step: Any) -> Mind2WebTask:
    steps = [make_step(action_uid=str(n), steps=2) for n in range(2)]
    steps.append(make_step(annotation_id="u", steps=3))
    steps.append(make_step(annotation_id="v", ranks={}))
    return Mind2WebTask(Settings(), "mind2web (generated)", [], {step.id: step for step in steps}, {})


def test_metrics_are_means_over_steps_and_over_whole_tasks(task: Mind2WebTask) -> None:
    right, half = ended("t_0", "5 TYPE Bath", 1.0), ended("t_1", "5 CLICK", 0.0)
    void = ended("u_0", "5 TYPE Bath", 0.0, Outcome.INVALID_ACTION)
    metrics = task.aggregate([right, half, void, ended("v_0", "", 0.0)])
    assert metrics == {
        "element_accuracy": 0.5,
        "action_f1": 0.25,
        "step_success_rate": 0.25,
        "recall@10": 0.75,
        "task_success_rate": 0.0,
    }
    won = task.aggregate([right, ended("t_1", "5 TYPE Bath", 1.0)])
    assert (won["step_success_rate"], won["task_success_rate"]) == (1.0, 1.0)
    assert "task_success_rate" not in task.aggregate([right])
    assert task.aggregate([]) == {}


def test_a_prediction_that_stood_when_the_context_overflowed_counts(task: Mind2WebTask) -> None:
    cut = task.aggregate([ended("t_0", "5 TYPE Bath", 1.0, Outcome.CONTEXT_LIMIT)])
    assert cut["step_success_rate"] == 1.0
    assert task.aggregate([Trajectory("t_0", paths=[Attempt(0, [])])])["element_accuracy"] == 0.0


def test_generated_samples() -> None:
    made = make_task(Settings(samples=25), NOWHERE)
    assert isinstance(made, Task)
    assert made.label == "mind2web (generated)"
    assert len({sample.id for sample in made.samples}) == 25
    assert [s.id for s in made.samples[:10]] == [s.id for s in make_task(Settings(samples=10), NOWHERE).samples]
    assert {sample.family for sample in made.samples} == {"api"}


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({}, "Mind2Web (std, own ranking, own prompt)"),
        ({"scores": "official"}, "Mind2Web (std, own prompt)"),
        ({"scores": "official", "replies": "agentbench"}, "Mind2Web (std)"),
        ({"rules": "corrected", "top_k": 20}, "Mind2Web (std, own ranking, own prompt, top 20, corrected rules)"),
    ],
)
def test_official_labels_name_every_difference(
    official_root: Path, agentbench: Path, changes: dict[str, Any], label: str
) -> None:
    paths = SimpleNamespace(mind2web=official_root, agentbench=agentbench)
    settings = Settings(source="official", split="std", samples=4, **changes)
    assert make_task(settings, paths).label == label


def test_missing_prompts_say_which_path_to_set(tmp_path: Path) -> None:
    settings = Settings(replies="agentbench", samples=1)
    with pytest.raises(TaskDataError, match=r"set paths\.agentbench"):
        make_task(settings, NOWHERE)
    prompt = tmp_path / "mind2web" / "prompt" / "llm_prompt.json"
    prompt.parent.mkdir(parents=True)
    for content in ("{", "[]", '[{"role": "user"}]', '[{"role": "user", "content": "Hello"}]'):
        prompt.write_text(content, encoding="utf-8")
        with pytest.raises(TaskDataError, match=r"llm_prompt\.json"):
            make_task(settings, SimpleNamespace(mind2web=None, agentbench=tmp_path))


@pytest.mark.parametrize("style", ["io", "cot", "react"])
def test_openings(style: str) -> None:
    plain = opening(style, 3, "plain", worked_examples())
    assert [message.role for message in plain] == ["user", "assistant"] * 4 + ["user"]
    replies = [message.content for message in plain[3::2]]
    assert [reply.rpartition("ACTION: ")[2].split()[1] for reply in replies] == ["TYPE", "SELECT", "CLICK"]
    assert [message.role for message in opening(style, 0, "plain", ())] == ["user", "assistant"]
    (compact,) = opening(style, 0, "compact", ())
    assert len(compact.content) < 50


def test_shots_and_styles_that_cannot_be_had_are_named() -> None:
    for style, shots, prompt, option in (
        ("io", 6, "plain", r"method\.shots=6"),
        ("io", 1, "compact", r"method\.shots=1"),
        ("tot", 0, "plain", r"method\.style=tot"),
    ):
        with pytest.raises(ConfigError, match=option):
            opening(style, shots, prompt, worked_examples())  # type: ignore[arg-type]


def test_the_expert_says_why(make_step: Any) -> None:
    question = Question(make_step(), "<html/>", (("3", "<a id=0>home</a>"), ("5", "<input id=1 town />")), True)
    right = decide(question)
    assert right == Decision("C", "TYPE Bath")
    assert expert_reply(question, right, "io") == "ACTION: C TYPE Bath"
    assert (
        expert_reply(question, right, "react") == "THOUGHT: Next is town, TYPE: Bath. That is C.\nACTION: C TYPE Bath"
    )
    assert expert_reply(question, Decision("B", "CLICK "), "cot") == "I choose B.\nACTION: B CLICK"
    absent = Question(make_step(), "<html/>", (("3", "<a id=0>home</a>"),), False)
    assert expert_reply(absent, decide(absent), "cot").endswith("\nACTION: A")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "std"}, r"task\.split=std: task\.source=generated has train, test"),
        ({"samples": None}, r"task\.samples=null"),
        ({"samples": 0}, r"task\.samples=0: must be at least 1"),
        ({"seed": -1}, r"task\.seed=-1"),
        ({"top_k": 0}, r"task\.top_k=0"),
        ({"choices": 6}, r"task\.choices=6: must be between 2 and 5"),
        ({"choices": 1}, r"task\.choices=1"),
        ({"scores": "official"}, r"task\.scores=official"),
    ],
)
def test_wrong_options_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Settings(**changes)


def test_agentbenchs_replies_are_refused_where_a_method_chooses_among_actions() -> None:
    settings = Settings(replies="agentbench")
    settings.check_method(MethodSettings(style="cot"))
    Settings().check_method(MethodSettings(num_branch=2))
    for method in (MethodSettings(name="branch", num_branch=2), MethodSettings(tree=TreeSettings(strategy="bfs"))):
        with pytest.raises(ConfigError, match=rf"method={method.name}: .*task\.replies=action"):
            settings.check_method(method)
