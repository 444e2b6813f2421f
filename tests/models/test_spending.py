"""Prices, the ledger of a cell, and the limits of a whole run."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from agentx.conversation import Message
from agentx.errors import ConfigError, UserError
from agentx.models.chat import BackendError, Completion, Request, Sampling
from agentx.models.prices import SHIPPED, Price, load_prices, price_for
from agentx.models.settings import BackendSettings, ModelSettings, RunBudgetSettings
from agentx.models.spending import Ledger, MeteredModel, RunBudgetReached, Spent, read_ledger

CONF = Path(__file__).resolve().parents[2] / "conf"
PRICE = Price(10.0, 30.0, 1.0)


class Model:
    name = "model"
    context_length = 100

    def __init__(self, fails: bool = False) -> None:
        self.asked = 0
        self.fails = fails
        self.hold: asyncio.Event | None = None

    async def generate(self, messages: Sequence[Message], sampling: Sampling, request: Request) -> Completion:
        self.asked += 1
        if self.hold is not None:
            await self.hold.wait()
        await asyncio.sleep(0)
        if self.fails:
            raise BackendError("down")
        return Completion("x", 100, 10, cached_tokens=40)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return 1

    async def close(self) -> None:
        pass


def test_a_price_counts_fresh_cached_and_written_tokens_apart() -> None:
    assert PRICE.cost(1_000_000, 400_000, 100_000) == pytest.approx(6.0 + 0.4 + 3.0)
    assert Price(10.0, 30.0).cost(1_000_000, 400_000, 0) == pytest.approx(10.0)


def test_every_shipped_api_model_has_a_dated_price_with_its_source() -> None:
    prices = load_prices()
    for path in (CONF / "model").glob("*.yaml"):
        model = yaml.safe_load(path.read_text())
        if model["kind"] == "api":
            assert model["api_name"] in prices, path
    assert all(price.date and price.source for price in prices.values())
    assert SHIPPED.is_file()


def test_ones_own_prices_go_before_and_the_rest_stays(tmp_path: Path) -> None:
    own = tmp_path / "prices.yaml"
    own.write_text("gpt-4-0613: {prompt: 1, completion: 2, currency: EUR}\nmine: {prompt: 0, completion: 0}\n")
    gpt = ModelSettings("gpt-4", kind="api", api_name="gpt-4-0613")
    assert price_for(gpt, BackendSettings(name="openai"), own) == Price(1, 2, currency="EUR")
    assert load_prices(own)["gpt-4o"] == load_prices()["gpt-4o"]
    for text, message in (("a: {prompt: -1, completion: 2}", "from 0"), ("a: 3", "an entry is"), ("a: [", "not YAML")):
        own.write_text(text)
        load_prices.cache_clear()
        with pytest.raises(UserError, match=message):
            load_prices(own)
    with pytest.raises(UserError, match="cannot be read"):
        load_prices(tmp_path / "none.yaml")


def test_an_unknown_price_is_not_nothing_and_ones_own_hardware_is_not_unknown() -> None:
    local = ModelSettings("llama2-7b", source="a/b")
    assert price_for(local, BackendSettings(), None) == "own"
    assert price_for(local, BackendSettings(name="openai", base_url="http://node1:8000/v1"), None) == "own"
    assert price_for(local, BackendSettings(name="openai", base_url="https://host.example.org/v1"), None) is None
    assert price_for(ModelSettings("x", kind="api"), BackendSettings(name="openai"), None) is None


def play(ledger: Ledger, model: Model, count: int, together: int) -> int:
    """`together` callers share `count` calls; how many were refused."""
    metered = MeteredModel(model, ledger)
    refused = 0

    async def caller(number: int) -> None:
        nonlocal refused
        for _ in range(number, count, together):
            try:
                await metered.generate([], Sampling(), Request(role="judge"))
            except RunBudgetReached:
                refused += 1

    async def everyone() -> None:
        await asyncio.gather(*(caller(i) for i in range(together)))

    asyncio.run(everyone())
    return refused


@pytest.mark.parametrize("together", [1, 8])
@pytest.mark.parametrize(
    ("limits", "least"),
    [
        (RunBudgetSettings(max_calls=7), 7),
        (RunBudgetSettings(max_tokens=770), 7),
        (RunBudgetSettings(max_cost=0.0065), 7),  # 0.00094 each
    ],
)
def test_a_limit_stops_but_for_what_is_in_flight(
    tmp_path: Path, limits: RunBudgetSettings, least: int, together: int
) -> None:
    model = Model()
    refused = play(Ledger(tmp_path / "l", limits, {"judge": PRICE}), model, 100, together)
    most = least if limits.max_calls else least + together - 1
    assert least <= model.asked <= most and refused == 100 - model.asked
    spent = read_ledger(tmp_path / "l")["judge"]
    assert (spent.calls, spent.prompt_tokens, spent.cached_tokens) == (model.asked, 100 * model.asked, 40 * model.asked)


def test_earlier_commands_and_other_processes_count(tmp_path: Path) -> None:
    limits = RunBudgetSettings(max_calls=10)
    first, second = Ledger(tmp_path / "l", limits), Ledger(tmp_path / "l", limits)
    one, other = Model(), Model()
    play(first, one, 4, 2)
    play(second, other, 100, 2)
    play(first, one, 100, 2)
    assert one.asked == 4 and other.asked == 6
    later = Model()
    play(Ledger(tmp_path / "l", RunBudgetSettings(max_calls=15)), later, 100, 1)
    assert later.asked == 5


def test_failed_calls_cost_nothing_and_cancelled_ones_are_told_apart(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l", RunBudgetSettings(max_calls=2))
    with pytest.raises(BackendError):
        asyncio.run(MeteredModel(Model(fails=True), ledger).generate([], Sampling(), Request()))
    assert read_ledger(tmp_path / "l") == {}

    async def cancelled() -> None:
        model = Model()
        model.hold = asyncio.Event()
        call = asyncio.create_task(MeteredModel(model, ledger).generate([], Sampling(), Request()))
        await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(cancelled())
    assert read_ledger(tmp_path / "l") == {"policy": Spent(calls=1, unfinished=1)}


def test_a_line_cut_short_is_passed_over(tmp_path: Path) -> None:
    play(Ledger(tmp_path / "l"), Model(), 2, 1)
    with (tmp_path / "l").open("ab") as file:
        file.write(b'{"role": "policy", "calls": "many"}\n[1]\n{"role": "jud')
    assert read_ledger(tmp_path / "l")["judge"].calls == 2


@pytest.mark.parametrize("option", ["max_cost", "max_tokens", "max_calls"])
def test_limits_have_bounds(option: str) -> None:
    with pytest.raises(ConfigError, match=rf"run_budget\.{option}=0: must be above 0"):
        RunBudgetSettings(**{option: 0})  # type: ignore[arg-type]
