"""The recorded runs of AgentBench's Mind2Web, replayed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agentx.conversation import Message
from agentx.models.chat import Completion, Request, Roles, Sampling
from agentx.reasoning.method import EpisodeContext, Method
from agentx.reasoning.settings import BudgetSettings, MethodSettings
from agentx.tasks.environment import Action
from agentx.tasks.mind2web.answers import read_agentbench
from agentx.tasks.mind2web.environment import Mind2WebEnvironment
from agentx.tasks.mind2web.page import find, page_text, parse_page, prune
from agentx.tasks.mind2web.ranking import recall
from agentx.tasks.mind2web.rounds import NOTHING, Rounds
from agentx.tasks.mind2web.samples import action_f1, score
from agentx.tasks.mind2web.settings import Settings
from agentx.tasks.mind2web.task import Mind2WebTask, make_task
from agentx.trajectory import Outcome

SETTINGS = Settings(source="official", split="std", samples=None, scores="official", replies="agentbench")


@pytest.fixture(scope="module")
def task(official_root: Path, agentbench: Path) -> Mind2WebTask:
    return make_task(SETTINGS, SimpleNamespace(mind2web=official_root, agentbench=agentbench))


@pytest.fixture(scope="module")
def runs(recorded: Path) -> list[dict[str, Any]]:
    lines = (recorded / "runs.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def units(recorded: Path, name: str) -> list[Any]:
    return json.loads((recorded / "units.json").read_text(encoding="utf-8"))[name]


def test_candidates_and_their_order_are_the_originals(task: Mind2WebTask, runs: list[dict[str, Any]]) -> None:
    assert len(runs) == 360
    for run in runs:
        step = task.steps[task.samples[run["index"]].id]
        positives, negatives = step.candidates(run["top_k"])
        assert positives == run["pos_ids"]
        if run["candidate_order"] is not None:
            order = positives + negatives
            random.Random(run["shuffle_seed"]).shuffle(order)
            assert order == run["candidate_order"]
            assert step.target == run["target"]["action"]


def test_rounds_and_scores_replay(task: Mind2WebTask, runs: list[dict[str, Any]], recorded: Path) -> None:
    totals: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for run in runs:
        step = task.steps[task.samples[run["index"]].id]
        rounds = Rounds.start(run["candidate_order"] or (), run["num_candidates"], "faithful")
        cut = False
        for question in run["questions"]:
            assert list(rounds.batch) == question["candidate_ids"]
            if question["answer_status"] != "NORMAL":
                cut = True
                break
            answer = read_agentbench(question["answer"])
            assert [answer.letter, answer.action] == question["parsed"]
            number = "BCDEF".find(answer.letter)
            chosen = question["choices"][number][0] if 0 <= number < len(question["choices"]) else None
            rounds = rounds.answer(chosen, answer.action)
        assert cut or not rounds.batch
        assert [rounds.prediction.element, rounds.prediction.action] == run["final_prediction"]
        invalid = rounds.prediction == NOTHING and run["candidate_order"] is not None
        assert invalid == (run["status"] == "AGENT_INVALID_ACTION")
        result = score(step, rounds.prediction, run["top_k"])
        expected = (run["element_acc"], run["action_f1"], run["step_sr"])
        assert (result.element * 100, result.action_f1 * 100, result.step * 100) == expected
        totals[run["script"]].append(expected)
    overall = json.loads((recorded / "overall.json").read_text(encoding="utf-8"))["overall"]
    assert set(totals) == set(overall)
    for script, results in totals.items():
        element, f1, step_rate = (sum(column) / len(results) for column in zip(*results, strict=True))
        assert element == pytest.approx(overall[script]["element_acc"])
        assert f1 == pytest.approx(overall[script]["action_f1"])
        assert step_rate == pytest.approx(overall[script]["step_sr"])


def test_the_environment_asks_what_the_original_asked(task: Mind2WebTask, runs: list[dict[str, Any]]) -> None:
    asked = asyncio.run(_replay(task, runs))
    assert asked == 553


async def _replay(task: Mind2WebTask, runs: list[dict[str, Any]]) -> int:
    asked = 0
    for run in runs:
        if not run["questions"]:
            continue
        step = task.steps[task.samples[run["index"]].id]
        environment = Mind2WebEnvironment(step, SETTINGS, task._ask(), run["candidate_order"])
        observation = await environment.reset()
        reward, outcome = 0.0, None
        for question in run["questions"]:
            assert observation.shown == question["prompt"]
            assert environment.question is not None
            assert environment.question.page == question["html"]
            asked += 1
            if question["answer_status"] != "NORMAL":
                outcome = Outcome.CONTEXT_LIMIT
                break
            result = await environment.step(Action(None, question["answer"]))
            observation, reward, outcome = result.observation, result.reward, result.outcome
        assert reward * 100 == run["step_sr"]
        if outcome is not Outcome.CONTEXT_LIMIT:
            expected = Outcome.COMPLETED if run["status"] == "COMPLETED" else Outcome.INVALID_ACTION
            assert outcome is expected
    return asked


class Answers:
    """A model that gives a recorded run's answers, in turn, and remembers what it was sent."""

    name, context_length = "recorded", 1 << 20

    def __init__(self, answers: list[str]) -> None:
        self.answers = iter(answers)
        self.sent: list[list[Message]] = []

    async def generate(self, messages: Sequence[Message], sampling: Sampling, request: Request) -> Completion:
        self.sent.append(list(messages))
        return Completion(next(self.answers), 1, 1)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return 1

    async def close(self) -> None:
        pass


def test_a_method_sends_what_the_original_sent_each_question_in_a_dialogue_of_its_own(
    task: Mind2WebTask, runs: list[dict[str, Any]]
) -> None:
    method = Method(MethodSettings(name="cot", style="cot"))
    answered = [run for run in runs if all(q["answer_status"] == "NORMAL" for q in run["questions"])]
    several = [run for run in answered if len(run["questions"]) > 1]
    assert len(several) > 50
    for run in several:
        sample = task.samples[run["index"]]
        environment = Mind2WebEnvironment(task.steps[sample.id], SETTINGS, task._ask(), run["candidate_order"])
        opening = task.opening(sample, "cot", 0)
        model = Answers([question["answer"] for question in run["questions"]])
        context = EpisodeContext(0, sample.id, 0, opening)
        trajectory = asyncio.run(method.solve(environment, Roles.all_one(model), BudgetSettings(), context))
        assert model.sent == [[*opening, Message("user", question["prompt"])] for question in run["questions"]]
        assert trajectory.reward * 100 == run["step_sr"]
        assert [step.fresh for step in trajectory.paths[0].steps[:-1]] == [True] * (len(run["questions"]) - 1)


def test_the_worked_examples_are_the_originals(task: Mind2WebTask, recorded: Path) -> None:
    messages = task.opening(task.samples[0], "cot", shots=0)
    records = [{"role": "user" if m.role == "user" else "agent", "content": m.content} for m in messages]
    digest = hashlib.sha256(json.dumps(records, ensure_ascii=False).encode()).hexdigest()
    assert digest == json.loads((recorded / "overall.json").read_text(encoding="utf-8"))["fewshot_sha256"]
    assert not any("Thought" in m.content for m in task.opening(task.samples[0], "io", 0) if m.role == "assistant")


def test_recall_is_the_originals(task: Mind2WebTask, recorded: Path) -> None:
    log = json.loads((recorded / "overall.json").read_text(encoding="utf-8"))["construction_log"]
    for k in (5, 10, 20, 50):
        assert f"Recall Cap @ {k}: {recall(list(task.steps.values()), k)}\n" in log


def test_random_sets_of_candidates_prune_to_the_recorded_pages(task: Mind2WebTask, recorded: Path) -> None:
    cases = [case for case in units(recorded, "prune") if case["keep_html_brackets"]]
    assert len(cases) == 60
    for case in cases:
        step = task.steps[task.samples[case["index"]].id]
        page = parse_page(step.html, step.where)
        nodes = find(page, case["candidate_ids"])
        text, choices = page_text(prune(page, [nodes[node] for node in case["candidate_ids"]]))
        assert text == case["html"]
        assert [list(choice) for choice in choices] == case["choices"]


def test_replies_are_parsed_as_recorded(recorded: Path) -> None:
    for reply, expected in units(recorded, "parse"):
        answer = read_agentbench(reply)
        assert [answer.letter, answer.action] == expected


def test_action_f1_is_as_recorded(recorded: Path) -> None:
    for predicted, right, expected in units(recorded, "f1"):
        assert action_f1(predicted, right) == pytest.approx(expected)


def test_targets_are_as_recorded(task: Mind2WebTask, recorded: Path) -> None:
    for case in units(recorded, "target"):
        assert task.steps[task.samples[case["index"]].id].target == case["target"]["action"]
