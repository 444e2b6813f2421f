"""`python run.py job=construct` as a process, with the offline teacher and against a recorded one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections import Counter

import pytest

from agentx.construction.simulated_teacher import Replay, Server, SimulatedTeacher
from agentx.errors import ConfigError
from agentx.tuning.datasets import read_conversations

SMALL = ["task.receptacles=[5,6]", "task.objects=5", "job.filters.leakage_samples=4"]


def outcomes(records: list[dict]) -> dict[int, str]:
    return {record["metadata"]["index"]: record["metadata"]["verdict"]["reason"] for record in records}


def test_the_offline_teacher_needs_nothing_and_its_data_load_unchanged(construct, made, tmp_path):
    done = construct("data.size=6", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "6 begun: 6 verified, 0 repaired, 0 rejected; 6 kept." in done.stdout
    assert "The teacher is simulated" in done.stdout
    records = made("constructed/*.jsonl")
    assert [record["metadata"]["index"] for record in records] == list(range(6))
    provenance = records[0]["metadata"]
    assert (provenance["teacher"], provenance["simulated_teacher"], provenance["seed"]) == ("expert", True, 0)
    assert set(provenance["prompts"]) == {"question_generator", "action_maker", "environment_agent"}
    assert (provenance["verdict"]["status"], provenance["cost"]["calls"]) == (
        "verified",
        1 + 2 * len(provenance["turns"]),
    )
    (file,) = (tmp_path / "out" / "constructed").glob("*.jsonl")
    loaded = read_conversations(file).conversations
    assert len(loaded) == 6
    for record, conversation in zip(records, loaded, strict=True):
        trained = [message.content for message in conversation.messages if message.trained]
        assert trained == [turn["value"] for turn in record["conversations"] if turn.get("loss")]
        assert conversation.messages[-1].trained and conversation.messages[0].content.startswith(
            "household, think and act."
        )
    thoughts = Counter(message.content for c in loaded for message in c.messages if message.trained)
    assert len(thoughts) > 0.8 * sum(thoughts.values())
    card = file.with_suffix(".md").read_text()
    assert "| all | 6 | 6 | 0 | 0 | 100.0 |" in card
    before = file.read_bytes()
    again = construct("data.size=6", *SMALL)
    assert again.returncode == 0 and file.read_bytes() == before


@pytest.mark.parametrize("environment", ["real", "verified"])
def test_the_real_environment_answers_or_corrects_and_the_report_compares(construct, made, environment):
    construct("data.size=3", *SMALL)
    done = construct("data.size=3", f"job.environment={environment}", *SMALL)
    assert done.returncode == 0, done.stderr
    table = [line for line in done.stdout.splitlines() if line.startswith(("| simulated |", f"| {environment} |"))]
    assert len(table) == 2
    records = made(f"constructed/*-{environment}-*.jsonl")
    assert {turn["by"] for record in records for turn in record["metadata"]["turns"][:-1]} == {
        "real" if environment == "real" else "simulated"
    }


def test_a_recorded_teacher_with_every_kind_of_wrong_answer(construct, made, recording):
    replay = Replay(recording("household"))
    with Server(replay.answer) as server:
        done = construct("data.size=12", "job.concurrency=4", url=server.url)
        assert done.returncode == 0, done.stderr
        assert replay.missed == []
        assert server.calls == len(replay.record)
        rejected = outcomes(made("construction/*/rejected.jsonl"))
        assert rejected == {
            3: "goal_not_reached", 5: "goal_not_reached", 7: "turn_limit", 9: "malformed", 10: "refused",
        }  # fmt: skip
        kept = {record["metadata"]["index"]: record["metadata"] for record in made("constructed/*.jsonl")}
        assert set(kept) == set(range(12)) - set(rejected)
        repaired = {
            index: facts["verdict"] for index, facts in kept.items() if facts["verdict"]["status"] == "repaired"
        }
        assert set(repaired) == {2, 11}
        assert (repaired[11]["replaced"], repaired[11]["contradictions"]) == ([4], 1)
        false = kept[11]["turns"][4]
        assert (false["agrees"], false["by"]) == (False, "real") and "pencil 7" in false["said"]
        conversation = next(r for r in made("constructed/*.jsonl") if r["metadata"]["index"] == 11)["conversations"]
        assert "pencil 7" not in json.dumps(conversation)
        # Filters can be changed afterwards, without a call.
        stricter = construct("data.size=12", "job.filters.min_turns=6", url=server.url)
        assert stricter.returncode == 0 and server.calls == len(replay.record)
        assert "length" in outcomes(made("construction/*/rejected.jsonl")).values()


def test_trajectories_of_a_tool_task_from_a_recorded_teacher(construct, made, recording):
    replay = Replay(recording("database"))
    with Server(replay.answer) as server:
        done = construct("task=db", "data.size=8", "job.pool=3", url=server.url)
    assert done.returncode == 0, done.stderr
    assert replay.missed == []
    assert outcomes(made("construction/*/rejected.jsonl")) == {4: "refused", 5: "malformed", 7: "goal_not_reached"}
    kept = {record["metadata"]["index"]: record for record in made("constructed/*.jsonl")}
    assert {index for index, record in kept.items() if record["metadata"]["verdict"]["status"] == "repaired"} == {6}
    assert "('nothing',)" not in json.dumps(kept[6]["conversations"])
    assert len(kept[0]["metadata"]["problem"]["examples"]) == 3


def test_nothing_paid_is_paid_twice_after_kill_9(construct, construct_command, made, simulated_teacher):
    arguments = ["data.size=5", "job.concurrency=2", *SMALL]
    teacher: SimulatedTeacher = simulated_teacher(*SMALL, size=5, rates={})
    asked: list[int] = []

    def slowly(body):
        asked.append(body["seed"])
        time.sleep(0.02)
        return teacher.answer(body)

    with Server(slowly) as server:
        process = subprocess.Popen(
            construct_command(*arguments, url=server.url), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while len(asked) < 25 and process.poll() is None:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        done = construct(*arguments, url=server.url)
        assert done.returncode == 0, done.stderr
        assert len(made("constructed/*.jsonl")) == 5
        assert len(made("construction/*/calls.jsonl")) == len(teacher.record)
        # What was being answered when the process died was never heard of: at most one call for each dialogue at once.
        repeated = Counter(asked)
        assert sum(repeated.values()) - len(repeated) <= 2
        assert construct(*arguments, url=server.url).returncode == 0
        assert Counter(asked) == repeated


def test_a_budget_ends_the_run_and_a_higher_one_goes_on(construct, made, simulated_teacher):
    teacher = simulated_teacher(*SMALL, size=4, rates={})
    with Server(teacher.answer) as server:
        first = construct("data.size=4", "job.concurrency=1", "run_budget.max_calls=20", *SMALL, url=server.url)
        assert (first.returncode, server.calls) == (0, 20), first.stderr
        assert "stopped at run_budget.max_calls=20" in first.stdout
        some = len(made("constructed/*.jsonl"))
        assert 0 < some < 4
        nothing = construct("data.size=4", "run_budget.max_calls=20", *SMALL, url=server.url)
        assert (nothing.returncode, server.calls) == (0, 20)
        rest = construct("data.size=4", *SMALL, url=server.url)
        assert rest.returncode == 0 and "stopped" not in rest.stdout
        assert len(made("constructed/*.jsonl")) == 4
        assert server.calls == len(teacher.record)


def refusing(status: int, code: str, message: str):
    return lambda body: (status, {"error": {"message": message, "code": code, "type": code}})


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (refusing(401, "invalid_api_key", "Incorrect API key provided"), "refuses"),
        (refusing(404, "model_not_found", "The model does not exist"), "knows no model"),
        (refusing(429, "insufficient_quota", "You exceeded your current quota"), "no credit left"),
    ],
)
def test_what_the_server_refuses_is_one_clear_line(construct, answer, says):
    with Server(answer) as server:
        done = construct("data.size=2", *SMALL, url=server.url)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and says in line
    assert "Traceback" not in done.stderr and "construct-secret" not in done.stderr + done.stdout


def test_quota_that_goes_in_the_middle_leaves_what_is_finished_as_data(construct, made, simulated_teacher):
    teacher = simulated_teacher(*SMALL, size=4, rates={})
    gone = refusing(429, "insufficient_quota", "You exceeded your current quota")
    options = ["data.size=4", "job.concurrency=1", *SMALL]
    with Server(lambda body: (teacher.answer if len(teacher.record) < 30 else gone)(body)) as server:
        done = construct(*options, url=server.url)
        assert done.returncode == 1 and "no credit left" in done.stderr
        (kept, report) = made("constructed/*.jsonl"), made("construction/*/verified.jsonl")
        assert 0 < len(kept) == len(report) < 4 and f"{len(kept)} verified" in done.stdout


def test_no_key(construct):
    done = construct("teacher=gpt-4", key="")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == (
        "error: teacher (question) gpt-4: needs an API key in the environment variable OPENAI_API_KEY, which is not "
        "set; set it, or give the address of a server of your own, which needs none "
        "(backend.base_url=http://localhost:8000/v1); teacher=expert needs none"
    )


def test_a_limit_on_costs_stops_the_teacher_at_the_users_own_prices(construct, made, simulated_teacher, tmp_path):
    prices = tmp_path / "prices.yaml"
    prices.write_text("simulated-teacher: {prompt: 2.0, completion: 8.0, currency: EUR}\n")
    teacher = simulated_teacher(*SMALL, size=4, rates={})
    options = ["data.size=4", "job.concurrency=1", f"paths.prices={prices}", *SMALL]
    with Server(teacher.answer) as server:
        first = construct(*options, "run_budget.max_cost=0.02", url=server.url)
        assert first.returncode == 0 and "stopped at run_budget.max_cost=0.02" in first.stdout, first.stderr
        asked = server.calls
        assert asked > 0 and "| role | calls | prompt tokens | reply tokens | EUR |" in first.stdout
        report = json.loads(next((tmp_path / "out").glob("construction/*/report.json")).read_text())
        spent = report["paid"]
        assert spent["calls"] == asked and 0.02 <= spent["money"] < 0.025 and report["currency"] == "EUR"
        assert spent["money"] == pytest.approx((2 * spent["prompt_tokens"] + 8 * spent["completion_tokens"]) / 1e6)
        assert report["cost"]["money"] <= spent["money"]
        assert construct(*options, "run_budget.max_cost=0.02", url=server.url).returncode == 0
        assert server.calls == asked
        assert construct(*options, url=server.url).returncode == 0 and server.calls == len(teacher.record)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["teacher=gpt-4", "teacher.api_name=gpt-99"], "the price of gpt-99 (question) is not known"),
        ([], "no token of this run is paid for"),
    ],
)
def test_a_limit_on_costs_that_cannot_be_known_is_refused(construct, options, says):
    done = construct(*options, "run_budget.max_cost=1")
    assert done.returncode != 0 and says in done.stderr


def test_empty_answers_stop_the_run_keep_what_is_finished_and_are_asked_for_again(construct, made, simulated_teacher):
    teacher = simulated_teacher(*SMALL, size=6, rates={})
    dumb = False

    def answer(body):
        status, content = teacher.answer(body)
        if dumb or len(teacher.record) > 25:
            content["choices"][0]["message"]["content"] = ""
        return status, content

    arguments = ["data.size=6", "job.concurrency=1", "job.give_up_after=2", *SMALL]
    with Server(answer) as server:
        first = construct(*arguments, url=server.url)
        assert first.returncode == 1
        assert (
            "error: stopped: 2 trajectories in a row failed, the last one with: the answers are empty" in first.stderr
        )
        finished = len(made("construction/*/verified.jsonl"))
        assert 0 < finished < 6
    with Server(teacher.answer) as server:
        second = construct(*arguments, f"teacher.base_url={server.url}", url=server.url)
    assert second.returncode == 0, second.stderr


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("job.environment=imagined", "must be one of simulated, real, verified"),
        ("data.size=0", "data.size=0: must be at least 1"),
        ("job.filters.duplicates=2", "job.filters.duplicates=2"),
        ("job.examples=99", "the pool has only"),
        ("job.filters.language=english", "two letters"),
        ("run_budget.max_calls=0", "must be above 0"),
        ("+job.conurrency=3", "did you mean concurrency?"),
    ],
)
def test_bad_options_are_refused_at_once(configured, option, says):
    with pytest.raises(ConfigError, match=re.escape(says)):
        configured(option)


def test_from_construction_to_a_tuned_model(construct_command, tmp_path):
    done = subprocess.run(construct_command("data.size=4", *SMALL), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "4 begun: 4 verified" in done.stdout
    (file,) = (tmp_path / "out" / "constructed").glob("*.jsonl")
    options = ["lambda=1", f"data.agent=[{file}]", "tuning.steps=2", "tuning.batch_size=2", "tuning.rank=4"]
    tuned = subprocess.run(construct_command(*options, job="tune"), capture_output=True, text=True, timeout=300)
    assert tuned.returncode == 0, tuned.stderr
    assert "never possible" not in tuned.stderr + tuned.stdout
