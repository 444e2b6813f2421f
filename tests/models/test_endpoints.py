"""Several servers behind one model, faults that pass, and what a key is needed for."""

import asyncio
import email.utils
import time
from collections.abc import Callable
from typing import Any

import pytest

from agentx.conversation import Message
from agentx.errors import ConfigError, UserError
from agentx.models import endpoints
from agentx.models.addresses import is_local, read_key, server_urls, shown
from agentx.models.chat import BackendError, BackendUnreachable, Completion, Request, Sampling
from agentx.models.openai_backend import OpenAIModel
from agentx.models.settings import BackendSettings, ModelSettings

ASK = [Message("user", "go to the cabinet 1")]
Start = Callable[..., Any]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "FIRST_PAUSE", 0.01)


def model_at(*urls: str, **backend: Any) -> OpenAIModel:
    options = {"max_retries": 3, "timeout": 20.0, **backend}
    settings = BackendSettings(name="openai", base_url=list(urls), **options)
    return OpenAIModel(ModelSettings("m", source="org/m", context_length=1000), settings)


def ask(model: OpenAIModel, count: int = 1, **sampling: Any) -> list[Completion]:
    async def calls() -> list[Completion]:
        requests = [Request(sample=str(i)) for i in range(count)]
        try:
            return list(await asyncio.gather(*(model.generate(ASK, Sampling(**sampling), r) for r in requests)))
        finally:
            await model.close()

    return asyncio.run(calls())


def test_servers_share_the_load(scripted_server: Start) -> None:
    def slow(body: dict[str, Any], n: int) -> tuple[Any, ...]:
        time.sleep(0.02)
        return 200, servers[0].completion("ACTION: look")

    servers = [scripted_server(slow) for _ in range(3)]
    assert len(ask(model_at(*(server.url for server in servers)), count=60)) == 60
    assert all(len(server.bodies) >= 15 for server in servers), [len(server.bodies) for server in servers]


def test_a_dead_server_is_set_aside_and_tried_again_later(
    scripted_server: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [100.0]
    monkeypatch.setattr(endpoints.time, "monotonic", lambda: clock[0])
    dead, alive = scripted_server(), scripted_server()
    dead.close()
    model = model_at(dead.url, alive.url, max_retries=1)

    async def scenario() -> None:
        for i in range(20):
            await model.generate(ASK, Sampling(), Request(sample=str(i)))
        gone = model.endpoints.members[0]
        assert gone.times_aside == 1 and gone.in_flight == 0
        clock[0] = gone.aside_until + 1
        await model.generate(ASK, Sampling(), Request(sample="later"))
        assert gone.times_aside == 2 and gone.aside_until - clock[0] == 2 * endpoints.FIRST_ASIDE
        clock[0] = gone.aside_until + 1
        gone.client = model.endpoints.members[1].client  # it is back
        await model.generate(ASK, Sampling(), Request(sample="back"))
        assert gone.times_aside == 0 and gone.answered == 1
        await model.close()

    asyncio.run(scenario())
    assert len(alive.bodies) == 22
    assert caplog.text.count("set aside for") == 2


def test_a_call_goes_to_another_server_at_once_when_one_is_busy(scripted_server: Start) -> None:
    """Without waiting the minute that the busy one asks for."""
    busy = scripted_server(lambda body, n: (429, {"error": {"message": "busy"}}, {"Retry-After": "60"}))
    free = scripted_server()
    assert len(ask(model_at(busy.url, free.url), count=8)) == 8
    assert len(free.bodies) == 8


def test_servers_that_are_all_gone(scripted_server: Start) -> None:
    first, second = scripted_server(), scripted_server()
    model = model_at(first.url, second.url)
    first.close(), second.close()
    with pytest.raises(BackendUnreachable) as caught:
        ask(model)
    assert first.url in str(caught.value) and second.url in str(caught.value)


class Busy(Exception):
    pass


def waits(monkeypatch: pytest.MonkeyPatch, server: Any, **backend: Any) -> list[float]:
    """The pauses a call makes, none of them really slept."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(endpoints.asyncio, "sleep", note)
    with pytest.raises(BackendError):
        ask(model_at(server.url, **backend))
    monkeypatch.setattr(endpoints.asyncio, "sleep", sleep)
    return pauses


def test_pauses_grow_and_differ(scripted_server: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "FIRST_PAUSE", 0.5)
    server = scripted_server(lambda body, n: (503, {"error": {"message": "down"}}))
    first, second = (waits(monkeypatch, server, max_retries=8) for _ in range(2))
    assert len(first) == 8 and first != second
    for attempt, pause in enumerate(first):
        assert 0.5 * min(30.0, 0.5 * 2**attempt) <= pause <= min(30.0, 0.5 * 2**attempt)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_the_pause_a_server_asks_for_is_kept(
    scripted_server: Start, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    wanted = "7" if form == "seconds" else email.utils.formatdate(time.time() + 7, usegmt=True)
    server = scripted_server(lambda body, n: (429, {"error": {"message": "busy"}}, {"Retry-After": wanted}))
    (pause,) = waits(monkeypatch, server, max_retries=1)
    assert 5.0 <= pause <= 7.8


def test_a_server_that_wants_an_hour_is_not_waited_for(scripted_server: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = scripted_server(lambda body, n: (429, {"error": {"message": "busy"}}, {"Retry-After": "3600"}))
    assert waits(monkeypatch, server) == [] and len(server.bodies) == 1


@pytest.mark.parametrize("given", ["nan", "-5", "soon", "inf", "0"])
def test_nonsense_in_retry_after_does_no_harm(
    scripted_server: Start, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    server = scripted_server(lambda body, n: (429, {"error": {"message": "busy"}}, {"Retry-After": given}))
    pauses = waits(monkeypatch, server)
    assert all(0 < pause < 1 for pause in pauses) and len(pauses) == (0 if given == "inf" else 3)


@pytest.mark.parametrize("content", [b"{not json", {"choices": []}, {"choices": [{"index": 0}]}, b"[1, 2]", b""])
def test_broken_bodies_are_asked_for_again(scripted_server: Start, content: Any) -> None:
    server = scripted_server()
    server.answer = lambda body, n: (200, content if n < 3 else server.completion("ACTION: look"))
    assert ask(model_at(server.url))[0].text == "ACTION: look"
    assert len(server.bodies) == 3


def test_a_body_that_trickles_is_a_timeout(scripted_server: Start) -> None:
    """Each piece comes in time, the whole never does."""
    server = scripted_server()

    def trickle() -> Any:
        for _ in range(100):
            yield b" "
            time.sleep(0.1)

    server.answer = lambda body, n: (200, trickle() if n == 1 else server.completion("ACTION: look"))
    assert ask(model_at(server.url, timeout=0.4))[0].text == "ACTION: look"
    assert len(server.bodies) == 2


@pytest.mark.parametrize("code", [50005, 42903])
def test_fastchat_says_400_to_what_may_pass(scripted_server: Start, code: int) -> None:
    server = scripted_server()
    fault = {"object": "error", "message": "No available worker", "code": code}
    server.answer = lambda body, n: (400, fault) if n == 1 else (200, server.completion("ACTION: look"))
    assert ask(model_at(server.url))[0].text == "ACTION: look"


def test_the_other_name_of_the_longest_reply_is_learnt_once(scripted_server: Start) -> None:
    message = "Unsupported parameter: 'max_tokens' is not supported here. Use 'max_completion_tokens' instead."
    server = scripted_server()
    server.answer = lambda body, n: (
        (400, {"error": {"message": message}}) if "max_tokens" in body else (200, server.completion("ACTION: look"))
    )
    model = model_at(server.url)

    async def twice() -> None:
        for _ in range(2):
            await model.generate(ASK, Sampling(max_tokens=9), Request())
        await model.close()

    asyncio.run(twice())
    assert [body.get("max_completion_tokens") for body in server.bodies] == [None, 9, 9]


def test_a_refused_temperature_is_the_users_to_leave_out(scripted_server: Start) -> None:
    refusal = {"message": "Unsupported value: 'temperature' does not support 0.0 with this model."}
    server = scripted_server()
    server.answer = lambda body, n: (
        (400, {"error": refusal}) if "temperature" in body else (200, server.completion("ACTION: look"))
    )
    with pytest.raises(UserError, match=r"refuses temperature .*model.omit=\[temperature\]"):
        ask(model_at(server.url))
    settings = ModelSettings("m", source="org/m", context_length=1000, omit=["temperature"])
    model = OpenAIModel(settings, BackendSettings(name="openai", base_url=server.url))
    assert ask(model)[0].text == "ACTION: look"


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, {"message": "You exceeded your current quota", "code": "insufficient_quota"}), (402, {"message": "pay"})],
)
def test_an_account_without_credit_stops_the_run_at_once(
    scripted_server: Start, status: int, error: dict[str, str]
) -> None:
    server = scripted_server(lambda body, n: (status, {"error": error}))
    with pytest.raises(UserError, match=r"no credit left .*add some"):
        ask(model_at(server.url))
    assert len(server.bodies) == 1


def test_impossible_token_counts_are_not_believed(scripted_server: Start) -> None:
    server = scripted_server()
    for prompt, reply in ((10**9, 4), (0, 4), (-1, 4), (11, 10**6), (11, 0)):
        server.answer = lambda body, n, p=prompt, r=reply: (200, server.completion("ACTION: look", p, r))
        (answer,) = ask(model_at(server.url), max_tokens=20)
        assert answer.estimated
        assert 1 < answer.prompt_tokens < 100 and 1 <= answer.completion_tokens <= 20
    server.answer = lambda body, n: (200, server.completion("ACTION: look"))
    assert not ask(model_at(server.url))[0].estimated


def test_which_addresses_are_near() -> None:
    near = [
        "http://localhost:8000/v1",
        "http://127.0.0.1/v1",
        "http://[::1]:1/v1",
        "http://10.0.0.7/v1",
        "http://node17:8/",
    ]
    far = ["https://api.openai.com/v1", "https://8.8.8.8/v1", "http://example.org:8000/v1"]
    assert all(map(is_local, near)) and not any(map(is_local, far))


def test_a_key_is_asked_for_only_where_a_stranger_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "MY_KEY"):
        monkeypatch.delenv(name, raising=False)
    gpt = ModelSettings("gpt-4", kind="api", context_length=8192)
    with pytest.raises(UserError, match=r"^gpt-4: needs an API key in the environment variable OPENAI_API_KEY"):
        read_key(gpt, BackendSettings(name="openai"))
    local = BackendSettings(name="openai", base_url="http://localhost:8000/v1")
    assert read_key(gpt, local) is None
    mixed = BackendSettings(name="openai", base_url=["http://localhost:8000/v1", "https://example.org/v1"])
    with pytest.raises(UserError, match="needs an API key"):
        read_key(gpt, mixed)
    with pytest.raises(UserError, match="MY_KEY"):
        read_key(gpt, BackendSettings(name="openai", base_url="http://localhost:8000/v1", api_key_env="MY_KEY"))
    monkeypatch.setenv("OPENAI_API_KEY", " sk-1 ")
    assert read_key(gpt, local) == "sk-1"
    assert server_urls(gpt, BackendSettings(name="openai")) == ["https://api.openai.com/v1"]
    assert shown("https://example.org/v1/?api-key=secret") == "https://example.org/v1"


def test_a_key_in_place_of_its_variables_name_is_not_repeated() -> None:
    with pytest.raises(ConfigError, match=r"backend.api_key_env: must be the name") as caught:
        BackendSettings(api_key_env="sk-proj-0123456789")
    assert "0123" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"backend.base_url=\[\]"):
        BackendSettings(base_url=[])
