import asyncio
import json

import pytest

from agentx.construction.journal import Journal
from agentx.construction.record import Cost
from agentx.construction.settings import SpendingSettings
from agentx.construction.spending import Answers, OutOfBudget, PaidModel, Price, Spending
from agentx.conversation import Message
from agentx.models.chat import Completion, Request, Sampling

ASK = [Message("user", "go")]


class Model:
    """Answers with the number of the call, or with what `texts` says."""

    name, context_length = "m", 100

    def __init__(self, texts=()):
        self.texts, self.calls = list(texts), 0

    async def generate(self, messages, sampling, request):
        self.calls += 1
        text = self.texts.pop(0) if self.texts else f"answer {self.calls}"
        return Completion(text, 100, 10)


@pytest.fixture()
def opened(tmp_path):
    """Opens the paid model of a run that was or was not started before."""

    def start(model, **limits):
        price = Price(10.0, 20.0)
        spending = Spending(SpendingSettings(**limits))
        answers = Answers(Journal(tmp_path / "calls.jsonl"), spending)
        return PaidModel(model, "served", price, answers), answers

    return start


def ask(paid, seed="a", messages=ASK):
    return asyncio.run(paid.generate(messages, Sampling(), Request(sample=seed))).text


def test_an_answer_is_paid_once_also_after_the_process_died(opened):
    model = Model()
    paid, _ = opened(model)
    assert [ask(paid), ask(paid), ask(paid, "b")] == ["answer 1", "answer 1", "answer 2"]
    # No close: as after kill -9.
    again, answers = opened(model)
    assert [ask(again), ask(again, "b")] == ["answer 1", "answer 2"]
    assert model.calls == 2
    assert answers.spending.paid == Cost(2, 200, 20, pytest.approx(2 * (100 * 10 + 10 * 20) / 1e6))
    assert ask(again, messages=[Message("user", "other")]) == "answer 3"


def test_a_line_cut_short_is_asked_for_again(opened, tmp_path):
    paid, _ = opened(Model())
    ask(paid), ask(paid, "b")
    path = tmp_path / "calls.jsonl"
    whole = path.read_bytes()
    for cut in range(whole.index(b"\n") + 2, len(whole), 40):
        path.write_bytes(whole[:cut])
        model = Model(["new"])
        again, _ = opened(model)
        assert (ask(again), ask(again, "b"), model.calls) == ("answer 1", "new", 1)
        assert [json.loads(line)["completion"]["text"] for line in path.read_text().splitlines()] == ["answer 1", "new"]


def test_an_empty_answer_is_paid_but_asked_for_again(opened):
    model = Model(["", "  ", "word"])
    paid, answers = opened(model)
    assert [ask(paid) for _ in range(4)] == ["", "  ", "word", "word"]
    assert (model.calls, answers.spending.paid.calls) == (3, 3)
    assert ask(opened(model)[0]) == "word"


@pytest.mark.parametrize(
    ("limits", "calls"), [({"max_calls": 3}, 3), ({"max_tokens": 220}, 2), ({"max_dollars": 0.0013}, 2)]
)
def test_no_call_is_begun_beyond_the_limit(opened, limits, calls):
    model = Model()
    paid, _ = opened(model, **limits)
    with pytest.raises(OutOfBudget, match=f"job.budget.{next(iter(limits))}="):
        for number in range(9):
            ask(paid, str(number))
    assert model.calls == calls
    assert ask(paid, "0") == "answer 1"  # what is known costs nothing
    with pytest.raises(OutOfBudget):
        ask(opened(model, **limits)[0], "new")  # earlier starts count


def test_calls_under_way_count_towards_the_limit(opened):
    class Slow(Model):
        async def generate(self, messages, sampling, request):
            await asyncio.sleep(0.01)
            return await super().generate(messages, sampling, request)

    async def many(paid):
        calls = [paid.generate(ASK, Sampling(), Request(sample=str(number))) for number in range(20)]
        return await asyncio.gather(*calls, return_exceptions=True)

    model = Slow()
    paid, _ = opened(model, max_calls=5)
    results = asyncio.run(many(paid))
    assert (model.calls, sum(isinstance(result, OutOfBudget) for result in results)) == (5, 15)


def test_a_failed_call_is_not_paid(opened):
    class Broken(Model):
        async def generate(self, messages, sampling, request):
            raise RuntimeError("no")

    paid, answers = opened(Broken(), max_calls=1)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            ask(paid)
    assert answers.spending.paid.calls == 0


def test_unknown_prices_stay_unknown():
    cost = Cost(1, 5, 5, None)
    cost.add(Cost(1, 1, 1, 0.5))
    assert (cost.calls, cost.dollars) == (2, None)
