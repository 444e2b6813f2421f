"""Generated samples, the expert's demonstrations of them and the task as a whole."""

import asyncio
import random
import re
from types import SimpleNamespace

import pytest

from agentx.construction.demonstrations import METHODS, expert_conversations
from agentx.errors import ConfigError
from agentx.reasoning.styles import Style
from agentx.tasks.database import actions, prompts
from agentx.tasks.database.expert import values
from agentx.tasks.database.generator import generate
from agentx.tasks.database.scoring import is_correct
from agentx.tasks.database.settings import KINDS, MUTATIONS, Settings
from agentx.tasks.database.subjects import drawn_subject, subjects
from agentx.tasks.database.task import make_task
from agentx.tasks.environment import Action, Task, TaskDataError
from agentx.trajectory import Outcome, Trajectory

PATHS = SimpleNamespace(agentbench=None)


@pytest.mark.parametrize("rows", [(6, 12), (4, 4), (90, 100)])
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_true_statement_is_right_on_either_engine(engine, split, rows):
    for record in generate(split, 44, 3, KINDS, rows):
        database = engine.open(record.table, 5)
        untouched = database.digest()
        reply = database.execute(record.statement)
        if record.kind in MUTATIONS:
            assert database.digest() == record.digest != untouched, record
        elif not reply.text.endswith("[TRUNCATED]"):
            assert is_correct(repr(values(reply.text)), record.label, "agentbench_v02"), record
        database.close()


def test_samples_are_reproducible_and_splits_share_nothing():
    assert generate("test", 30, 1, KINDS, (6, 12)) == generate("test", 30, 1, KINDS, (6, 12))
    assert generate("test", 30, 1, KINDS, (6, 12)) != generate("test", 30, 2, KINDS, (6, 12))
    train, test = subjects("train"), subjects("test")
    assert not {s.table for s in train} & {s.table for s in test}
    assert not {c for s in train for c in s.columns} & {c for s in test for c in s.columns}
    said = " ".join(str(subject) for subject in test)
    held_out = set(re.findall(r"\b[A-Z][a-z]{2,}", said)) - {"Subject"}
    rng = random.Random(0)
    drawn = [drawn_subject(rng) for _ in range(1000)]
    assert not {s.table for s in drawn} & {s.table for s in test}
    columns = {column for subject in drawn for column in subject.columns}
    assert len(columns) > 150 and not columns & held_out
    assert all(len(set(subject.columns)) == 5 for subject in drawn)
    kinds = [record.kind for record in generate("test", 22, 0, KINDS, (6, 12))]
    assert kinds == [*KINDS, *KINDS]


@pytest.mark.parametrize("method", METHODS)
def test_the_expert_succeeds_and_says_only_what_can_be_read(method):
    settings = Settings(prompt="compact")
    found = expert_conversations("database", settings, 33, 5, 0, [method])
    assert found == expert_conversations("database", settings, 33, 5, 0, [method])
    played = {re.split("#", conversation.id)[0] for conversation in found}
    assert len(played) >= 30, "nearly every episode has to end in success"
    style = Style(METHODS[method].style, multiline=True)
    for conversation in found:
        for message in conversation.messages:
            if message.trained and "ACTION:" in message.content:
                parsed = style.parse(message.content)
                assert not parsed.forgiven
                assert actions.parse(parsed.action) is not None
                assert "'unknown'" not in message.content, "a wrong answer is never trained on"


def test_judging_and_picking_have_both_answers():
    found = expert_conversations("database", Settings(prompt="compact"), 40, 2, 0, ["ours"])
    answers: dict[str, set[str]] = {}
    for conversation in found:
        for purpose in conversation.metadata["purpose"]:
            answers.setdefault(purpose, set()).add(conversation.messages[-1].content)
    assert answers["pick"] == {"1", "2"}
    assert answers["subtask_done"] == answers["task_done"] == {"Yes", "No"}


@pytest.mark.parametrize("style", prompts.STYLES)
def test_prompts_alternate_and_their_examples_follow_the_format(style):
    reader = Style(style, multiline=True)
    for kind in ("UPDATE", "other"):
        for shots in range(3):
            messages = prompts.opening(kind, style, shots)
            assert [m.role for m in messages] == (["user", "assistant"] * 9)[: len(messages)]
            replies = [m.content for m in messages if m.role == "assistant"][1:]
            assert len(replies) == 2 * shots
            for reply in replies:
                parsed = reader.parse(reply)
                assert not parsed.forgiven and actions.parse(parsed.action) is not None
    assert "UPDATE" in prompts.opening("DELETE", style, 1)[3].content
    assert "SELECT" in prompts.opening("ranking", style, 1)[3].content
    assert len(prompts.opening("other", style, 0, "compact")) == 1
    for wrong in ((style, 3, "plain"), (style, 1, "compact"), ("tot", 0, "plain"), (style, 0, "long")):
        with pytest.raises(ConfigError):
            prompts.opening("other", *wrong)


@pytest.mark.parametrize(
    ("options", "label"),
    [
        ({}, "database (generated, SQLite stand-in)"),
        ({"engine": "mysql"}, "database (generated)"),
        ({"source": "official", "split": "dev", "samples": None, "engine": "mysql"}, "DB (dev, own prompt)"),
        ({"source": "official", "split": "dev", "samples": None}, "DB (dev, own prompt, SQLite stand-in)"),
        (
            {"source": "official", "split": "dev", "samples": 6, "engine": "mysql", "scoring": "agentbench_main"},
            "DB (dev, 6 of 60, own prompt, scoring of main)",
        ),
    ],
)
def test_labels(options, label, agentbench):
    task = make_task(Settings(**options), SimpleNamespace(agentbench=agentbench))
    assert isinstance(task, Task)
    assert task.label == label
    assert len({sample.id for sample in task.samples}) == len(task.samples) == (options.get("samples", 60) or 60)


def test_many_episodes_at_once_do_not_meet(request):
    for name in ("sqlite", "mysql"):
        if name == "mysql":
            request.getfixturevalue("mariadb")
        task = make_task(Settings(samples=22, engine=name), PATHS)

        async def win(sample, task=task):
            environment = await task.open(sample)
            await environment.reset()
            record = task.records[sample.id]
            first = await environment.step(Action(actions.operation(record.statement), ""))
            answer = actions.answer(list(record.label) or ["done"])
            last = await environment.step(Action(answer, "")) if not first.done else first
            await environment.close()
            return last.reward, last.outcome

        async def all_of(task=task, win=win):
            return await asyncio.gather(*(win(sample) for sample in task.samples))

        assert set(asyncio.run(all_of())) == {(1.0, Outcome.COMPLETED)}


def test_accuracy_is_the_mean_of_select_insert_and_update():
    task = make_task(Settings(samples=11), PATHS)
    won = {"INSERT": 1.0, "UPDATE": 0.0, "other": 1.0, "ranking": 1.0}
    scores = task.aggregate([Trajectory(s.id, reward=won.get(s.kind, 0.0)) for s in task.samples])
    assert scores["accuracy/SELECT"] == 2 / 8
    assert scores["accuracy"] == (2 / 8 + 1 + 0) / 3
    assert scores["success_rate"] == 3 / 11
    assert "accuracy" not in task.aggregate([Trajectory(task.samples[0].id, reward=1.0)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "dev"}, "task.split=dev: task.source=generated has train, test"),
        ({"samples": None}, "task.samples=null"),
        ({"samples": 0}, "task.samples=0: must be at least 1"),
        ({"kinds": ["select"]}, "select is not a kind"),
        ({"kinds": []}, "name at least one"),
        ({"kinds": ["other", "other"]}, "twice"),
        ({"rows": (3, 5)}, "task.rows"),
        ({"dsn": "mysql://me@host"}, "task.dsn"),
        ({"statement_seconds": 0.0}, "task.statement_seconds"),
        ({"multiline_actions": False}, "task.multiline_actions"),
    ],
)
def test_wrong_settings_are_named(options, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        Settings(**options)


def test_official_data_without_a_path_are_asked_for():
    with pytest.raises(TaskDataError, match=r"paths\.agentbench"):
        make_task(Settings(source="official", split="dev"), PATHS)
