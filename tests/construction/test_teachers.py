"""The models of a run, with what they cost and what they have said already."""

import asyncio
import json

import pytest

from agentx.construction.record import Cost
from agentx.construction.simulated_teacher import Server, completion
from agentx.construction.teachers import ANSWERS, Teachers, currency_of
from agentx.conversation import Message
from agentx.errors import ConfigError
from agentx.models.chat import Request, Sampling
from agentx.models.prices import Price
from agentx.models.settings import BackendSettings, ModelSettings, RunBudgetSettings
from agentx.models.spending import LEDGER, RunBudgetReached

ASK = [Message("user", "g" * 400)]  # 100 tokens


class Teacher:
    """A server that answers with the number of the call, or with what `texts` says."""

    def __init__(self, texts=()):
        self.texts, self.calls = list(texts), 0

    def __call__(self, body):
        self.calls += 1
        text = self.texts.pop(0) if self.texts else f"answer {self.calls}".ljust(40, ".")  # 10 tokens
        return 200, completion(text, [Message(m["role"], m["content"]) for m in body["messages"]])


@pytest.fixture()
def start(tmp_path, monkeypatch):
    """Opens the teachers of a run, as each start of the same command does."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-teacher")
    prices = tmp_path / "prices.yaml"
    prices.write_text("served: {prompt: 10.0, completion: 20.0, currency: EUR}\n")
    given = {"backend": BackendSettings(), "prices": prices, "directory": tmp_path}

    def opened(server, **limits):
        model = ModelSettings("t", kind="api", api_name="served", base_url=server.url, context_length=8192)
        return Teachers({"action": model, "question": model}, limits=RunBudgetSettings(**limits), **given)

    return opened


def ask(teachers, *samples, messages=ASK):
    """What the role `action` says for each sample; the run dies afterwards, nothing is closed."""

    async def said():
        model = teachers.open("action")
        found = []
        for sample in samples:
            reply = await model.generate(messages, Sampling(), Request(sample=sample, role="action"))
            found.append(reply.text.rstrip("."))
        return found

    return asyncio.run(said())


def test_an_answer_is_paid_once_also_after_the_process_died(start, tmp_path):
    teacher = Teacher()
    with Server(teacher) as server:
        assert ask(start(server), "a", "a", "b") == ["answer 1", "answer 1", "answer 2"]
        again = start(server)
        assert ask(again, "a", "b") == ["answer 1", "answer 2"]
        assert teacher.calls == 2
        assert again.paid() == Cost(2, 200, 20, pytest.approx(2 * (100 * 10 + 10 * 20) / 1e6))
        assert ask(again, "a", messages=[Message("user", "other")]) == ["answer 3"]
    assert len((tmp_path / LEDGER).read_text().splitlines()) == 3 and (tmp_path / ANSWERS).exists()
    assert json.loads((tmp_path / LEDGER).read_text().splitlines()[0])["role"] == "action"


def test_an_empty_answer_is_paid_but_asked_for_again(start):
    teacher = Teacher(["", "  ", "word"])
    with Server(teacher) as server:
        teachers = start(server)
        assert [text.strip() for text in ask(teachers, "a", "a", "a", "a")] == ["", "", "word", "word"]
        assert (teacher.calls, teachers.paid().calls) == (3, 3)
        assert ask(start(server), "a") == ["word"]


@pytest.mark.parametrize(
    ("limits", "calls"), [({"max_calls": 3}, 3), ({"max_tokens": 220}, 2), ({"max_cost": 0.0013}, 2)]
)
def test_no_call_is_begun_beyond_the_limit(start, limits, calls):
    teacher = Teacher()
    with Server(teacher) as server:
        with pytest.raises(RunBudgetReached, match=f"run_budget.{next(iter(limits))}="):
            ask(start(server, **limits), *map(str, range(9)))
        assert teacher.calls == calls
        assert ask(start(server, **limits), "0") == ["answer 1"]  # what is known costs nothing
        with pytest.raises(RunBudgetReached):
            ask(start(server, **limits), "new")  # earlier starts count


def test_roles_with_the_same_model_share_it_and_the_scripted_teacher_costs_nothing(start, tmp_path):
    with Server(Teacher()) as server:
        teachers = start(server)
        assert teachers.open("action") is teachers.open("question")
    expert = Teachers(
        {"action": ModelSettings("expert", kind="expert")}, BackendSettings(), None, RunBudgetSettings(), tmp_path
    )
    assert expert.prices == {"action": "own"} and currency_of(expert.prices) == ""


def test_prices_in_two_currencies_cannot_be_added():
    with pytest.raises(ConfigError, match="are in EUR and USD"):
        currency_of({"a": Price(1, 1, currency="EUR"), "b": Price(1, 1), "c": None, "d": "own"})


def test_unknown_prices_stay_unknown():
    cost = Cost(1, 5, 5, None)
    cost.add(Cost(1, 1, 1, 0.5))
    assert (cost.calls, cost.money) == (2, None)
