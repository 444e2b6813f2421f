"""The command that serves a model, and what vLLM is told in it."""

import json
from pathlib import Path
from typing import Any

import pytest

from agentx.errors import ConfigError, UserError
from agentx.jobs.settings import ServeSettings
from agentx.models.server import ServerCommand, ServerProcess, server_command
from agentx.models.settings import BackendSettings, ModelSettings
from agentx.models.structured import choice_fields, read_choice
from agentx.models.vllm_options import adapter_rank, command_line, engine_options

TINY = ModelSettings("tiny", chat_template="tiny")


def make_adapter(directory: Path, **settings: Any) -> Path:
    directory.mkdir()
    (directory / "adapter_config.json").write_text(json.dumps({"r": 8, "peft_type": "LORA", **settings}))
    (directory / "adapter_model.safetensors").write_bytes(b"")
    return directory


def command(adapters: dict[str, Path] | None = None, gpu: bool = False, **backend: Any) -> list[str]:
    made = server_command(
        TINY,
        BackendSettings(name="vllm", **backend),
        adapters or {},
        python="python3",
        host="127.0.0.1",
        port=8123,
        gpu=gpu,
    )
    assert made.url == "http://127.0.0.1:8123/v1"
    return list(made.words)


def following(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1]


def test_the_command_says_all_that_matters(tmp_path: Path) -> None:
    agent = make_adapter(tmp_path / "agent", r=12)
    words = command({"agent": agent})
    assert words[:4] == ["python3", "-m", "vllm.entrypoints.launchers.api_server.entry", "--model"]
    assert following(words, "--dtype") == "float32" and "--enforce-eager" in words
    assert following(words, "--max-model-len") == "2048"
    assert following(words, "--served-model-name") == "tiny"
    assert Path(following(words, "--chat-template")).name == "tiny.jinja"
    assert Path(following(words, "--model"), "config.json").is_file()
    assert following(words, "--lora-modules") == f"agent={agent}"
    assert following(words, "--max-lora-rank") == "16"
    assert following(words, "--kv-cache-memory-bytes") == str(2 << 30)
    assert "--gpu-memory-utilization" not in words


def test_on_a_gpu_vllm_gets_the_gpus_options() -> None:
    words = command(
        gpu=True, tensor_parallel_size=2, gpu_memory_utilization=0.8, quantization="fp8", prefix_caching=False
    )
    assert words[:4] == ["python3", "-m", "vllm.entrypoints.cli.main", "serve"]
    assert following(words, "--tensor-parallel-size") == "2"
    assert following(words, "--gpu-memory-utilization") == "0.8"
    assert following(words, "--quantization") == "fp8"
    assert following(words, "--dtype") == "auto"
    assert {"--no-enforce-eager", "--no-enable-prefix-caching"} <= set(words)


def test_flags() -> None:
    assert command_line({"a_b": 1, "c": True, "d_e": False}) == ["--a-b", "1", "--c", "--no-d-e"]


def test_several_gpus_where_there_is_none() -> None:
    with pytest.raises(ConfigError, match=r"backend\.tensor_parallel_size=4: there is no GPU"):
        engine_options(TINY, BackendSettings(name="vllm", tensor_parallel_size=4), {}, gpu=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"bias": "all"}, "biases"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"r": 600}, "rank 600"),
    ],
)
def test_adapters_that_vllm_would_serve_wrongly_are_refused(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        adapter_rank(TINY, make_adapter(tmp_path / "a", **settings))


@pytest.mark.parametrize(("rank", "reserved"), [(1, 1), (2, 8), (64, 64), (65, 128), (512, 512)])
def test_ranks(rank: int, reserved: int, tmp_path: Path) -> None:
    assert adapter_rank(TINY, make_adapter(tmp_path / "a", r=rank)) == reserved


def test_the_key_is_never_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_KEY", "hunter2")
    made = ServerCommand(["python3", "-c", "pass"], "http://127.0.0.1:1/v1", key_variable="SERVER_KEY")
    assert "hunter2" not in str(made) and 'VLLM_API_KEY="$SERVER_KEY"' in str(made)
    monkeypatch.delenv("SERVER_KEY")
    with pytest.raises(UserError, match="SERVER_KEY: that environment variable is not set"):
        ServerProcess(made)


def test_a_server_that_ends_or_never_answers_is_told(tmp_path: Path) -> None:
    ended = ServerProcess(ServerCommand(["sh", "-c", "exit 3"], "http://127.0.0.1:1/v1"), quiet=True)
    with pytest.raises(UserError, match="ended with status 3"):
        ended.wait_until_healthy(20)
    silent = ServerProcess(ServerCommand(["sleep", "60"], "http://127.0.0.1:1/v1"), quiet=True)
    with pytest.raises(UserError, match=r"job\.wait=0\.1"):
        silent.wait_until_healthy(0.1)
    assert silent.wait() != 0
    with pytest.raises(UserError, match="cannot be started"):
        ServerProcess(ServerCommand([str(tmp_path / "none")], "http://127.0.0.1:1/v1"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": 0}, "job.port=0"),
        ({"wait": 0}, "job.wait=0"),
        ({"host": "0.0.0.0"}, "job.host=0.0.0.0: can be reached from other machines"),
        ({"api_key_env": "sk-1"}, "not the key itself"),
        ({"adapters": {"a=b": "x"}}, "job.adapters=a=b"),
    ],
)
def test_serving_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ServeSettings(**options)


def test_how_servers_are_told_of_choices() -> None:
    choices = ("Yes", "No")
    assert choice_fields("structured_outputs", choices) == {
        "extra_body": {"structured_outputs": {"choice": ["Yes", "No"]}}
    }
    assert choice_fields("guided_choice", choices)["extra_body"] == {"guided_choice": ["Yes", "No"]}
    schema = choice_fields("json_schema", choices)["response_format"]["json_schema"]
    assert schema["strict"] and schema["schema"]["properties"]["answer"]["enum"] == ["Yes", "No"]
    assert choice_fields("parsed", choices) == {}


@pytest.mark.parametrize(
    ("reply", "read"), [('{"answer": "No"}', "No"), ("Yes", "Yes"), ("[1]", "[1]"), ('{"answer": 3}', '{"answer": 3}')]
)
def test_a_choice_in_json_is_taken_out(reply: str, read: str) -> None:
    assert read_choice(reply) == read
