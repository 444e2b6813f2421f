import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from agentx.conversation import Message
from agentx.errors import ConfigError, UserError
from agentx.models.chat import (
    BackendError,
    BackendUnreachable,
    ChatModel,
    Completion,
    ContextOverflow,
    Request,
    Sampling,
)
from agentx.models.loading import open_model
from agentx.models.settings import BackendSettings, ModelSettings

SECRET = "sk-very-secret-0123456789"
ASK = [Message("user", "go to the cabinet 1")]
Answer = tuple[int, Any]


def completion(text: str = "ACTION: look", **changes: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {
        "prompt_tokens": 11,
        "completion_tokens": 4,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 8},
    }
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": usage,
        **changes,
    }


Server = Any


@pytest.fixture()
def server(scripted_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("TEST_KEY", SECRET)
    return scripted_server()


def client(
    server: Server, *, retries: int = 0, timeout: float = 20.0, concurrency: int = 32, **model: Any
) -> ChatModel:
    options = {"kind": "api", "api_key_env": "TEST_KEY", "context_length": 100, "max_tokens": 32, **model}
    backend = BackendSettings(
        name="openai", base_url=server.url, max_retries=retries, timeout=timeout, max_concurrency=concurrency
    )
    return open_model(ModelSettings("m", **options), backend)  # type: ignore[arg-type]


def ask(model: ChatModel, count: int = 1, sampling: Sampling | None = None) -> list[Completion]:
    async def calls() -> list[Completion]:
        requests = [Request(sample=str(i)) for i in range(count)]
        try:
            return list(await asyncio.gather(*(model.generate(ASK, sampling or Sampling(), r) for r in requests)))
        finally:
            await model.close()

    return asyncio.run(calls())


def test_what_is_sent_and_what_comes_back(server: Server) -> None:
    model = client(server, api_name="served-name", system_prompt="not for an API model")
    (reply,) = ask(model, sampling=Sampling(0.7, 0.9, 33, ("\nOBS",)))
    assert server.bodies == [
        {
            "model": "served-name",
            "messages": [{"role": "user", "content": "go to the cabinet 1"}],
            "temperature": 0.7,
            "top_p": 0.9,
            "max_tokens": 33,
            "seed": Request(sample="0").seed,
            "stop": ["\nOBS"],
        }
    ]
    assert server.keys == [f"Bearer {SECRET}"]
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens, reply.cached_tokens) == ("ACTION: look", 11, 4, 8)


def test_a_placeholder_key_is_no_secret_and_leaves_replies_alone(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", "look")
    (reply,) = ask(client(server))
    assert reply.text == "ACTION: look"
    monkeypatch.setenv("TEST_KEY", SECRET)
    server.answer = lambda body, n: (200, completion(f"ACTION: {SECRET}"))
    (reply,) = ask(client(server))
    assert SECRET not in reply.text


def test_local_models_behind_a_server_need_no_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    ask(client(server, kind="local", source="org/model", system_prompt="Be honest."))
    assert server.bodies[0]["model"] == "org/model"
    assert server.bodies[0]["messages"][0] == {"role": "system", "content": "Be honest."}


@pytest.mark.parametrize("status", [429, 500, 503, 0])
def test_passing_faults_are_retried(server: Server, status: int) -> None:
    server.answer = lambda body, n: (status, {"error": {"message": "busy"}}) if n == 1 else (200, completion())
    assert ask(client(server, retries=2))[0].text == "ACTION: look"
    assert len(server.bodies) == 2
    assert server.bodies[0] == server.bodies[1]


def test_slow_answers_are_asked_for_again(server: Server) -> None:
    def slow(body: dict[str, Any], n: int) -> Answer:
        time.sleep(1.0 if n == 1 else 0)
        return 200, completion()

    server.answer = slow
    assert ask(client(server, retries=1, timeout=0.3))[0].text == "ACTION: look"
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    "answer",
    [
        (500, {"error": {"message": f"boom {SECRET}"}}),
        (400, {"error": {"message": f"bad request with {SECRET}"}}),
        (200, b"{not json"),
        (200, b"[1, 2]"),
        (200, completion(choices=[])),
        (200, completion(choices=None)),
        (200, completion(choices=[{"index": 0}])),
        (200, {}),
        (0, None),
    ],
)
def test_what_stays_broken_is_the_back_ends_fault(server: Server, answer: Answer) -> None:
    server.answer = lambda body, n: answer
    with pytest.raises(BackendError) as caught:
        ask(client(server))
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_token_counts_are_estimated(server: Server) -> None:
    for usage in (None, {"prompt_tokens": -3, "completion_tokens": "many", "total_tokens": 0}):
        server.answer = lambda body, n, usage=usage: (200, completion(usage=usage))  # type: ignore[misc]
        (reply,) = ask(client(server))
        assert reply.prompt_tokens > 0
        assert reply.completion_tokens > 0


@pytest.mark.parametrize(
    "error",
    [
        {"message": "too long", "code": "context_length_exceeded"},
        {"message": "This model's maximum context length is 100 tokens, however your prompt has 120 input tokens."},
        {"message": "prompt is too long: 120 tokens > 100 maximum"},
    ],
)
def test_a_full_context_ends_the_episode(server: Server, error: dict[str, str]) -> None:
    server.answer = lambda body, n: (400, {"error": error})
    with pytest.raises(ContextOverflow):
        ask(client(server))
    assert len(server.bodies) == 1


def test_a_reply_gets_the_room_that_is_left(server: Server) -> None:
    message = (
        "This model's maximum context length is 100 tokens. However, you requested 130 tokens "
        "(80 in the messages, 50 in the completion)."
    )
    server.answer = lambda body, n: (400, {"error": {"message": message}}) if n == 1 else (200, completion())
    assert ask(client(server), sampling=Sampling(max_tokens=50))[0].text == "ACTION: look"
    assert [body["max_tokens"] for body in server.bodies] == [50, 20]


@pytest.mark.parametrize(
    ("status", "message"), [(401, "refuses the key in TEST_KEY"), (403, "TEST_KEY"), (404, "knows no model 'm'")]
)
def test_what_the_user_can_mend_stops_the_run(server: Server, status: int, message: str) -> None:
    server.answer = lambda body, n: (status, {"error": {"message": f"Incorrect API key provided: {SECRET}"}})
    with pytest.raises(UserError, match=message) as caught:
        ask(client(server, retries=3))
    assert SECRET not in str(caught.value)
    assert len(server.bodies) == 1


def test_no_more_connections_than_allowed(server: Server) -> None:
    def slow(body: dict[str, Any], n: int) -> Answer:
        time.sleep(0.05)
        return 200, completion()

    server.answer = slow
    # Waiting for a free connection does not count against the timeout of a request.
    assert len(ask(client(server, concurrency=3, timeout=0.5), count=30)) == 30
    assert server.most_open <= 3


def test_nobody_listening(server: Server) -> None:
    model = client(server)
    server.close()
    with pytest.raises(BackendUnreachable, match=r"nobody answers at http://127.0.0.1:\d+/v1; start the server"):
        ask(model)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    backend = BackendSettings(name="openai")
    with pytest.raises(UserError, match="environment variable OPENAI_API_KEY"):
        open_model(ModelSettings("gpt-4", kind="api", context_length=8192), backend)
    with pytest.raises(ConfigError, match=r"backend.base_url: needs the address"):
        open_model(ModelSettings("llama2-7b", source="a/b", context_length=4096), backend)
    with pytest.raises(ConfigError, match=r"model.context_length: needs a value"):
        open_model(ModelSettings("gpt-4", kind="api"), backend)


def test_an_api_model_ignores_the_local_back_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    settings = ModelSettings(
        "claude", kind="api", context_length=1000, base_url="https://example.org/v1/", api_key_env="ANTHROPIC_API_KEY"
    )
    model = open_model(settings, BackendSettings(name="transformers"))
    (endpoint,) = model.endpoints.members  # type: ignore[attr-defined]
    assert endpoint.url == "https://example.org/v1/" and model.count_tokens(ASK) > 0
    asyncio.run(model.close())
