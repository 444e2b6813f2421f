"""The call cache: what is found again, by whom, and what damage does."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentx.conversation import Message
from agentx.errors import UserError
from agentx.models.cache import CachedModel, CallCache
from agentx.models.chat import Completion, ContextOverflow, Request, Sampling
from agentx.models.identity import directory_digest, reply_identity
from agentx.models.settings import BackendSettings, ModelSettings

ASK = [Message("user", "go to the cabinet 1")]
KEY = bytes(32)
REPLY = Completion("ACTION: look\ud800", 11, 4, 8, "length", 1.5, True)


class Counting:
    name = "counting"
    context_length = 100

    def __init__(self) -> None:
        self.calls = 0

    async def generate(self, messages: Sequence[Message], sampling: Sampling, request: Request) -> Completion:
        if len(messages) > 5:
            raise ContextOverflow
        self.calls += 1
        return Completion(f"reply {self.calls}", 11, 4, seconds=1.0)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return 1

    async def close(self) -> None:
        pass


def ask(model: CachedModel, messages: Any = ASK, sampling: Sampling | None = None, **request: Any) -> Completion:
    return asyncio.run(model.generate(messages, sampling or Sampling(), Request(**request)))


def test_a_reply_comes_back_whole_and_marked(tmp_path: Path) -> None:
    cache = CallCache(tmp_path / "calls.sqlite")
    assert cache.get(KEY) is None
    cache.put(KEY, REPLY)
    cache.close()
    again = CallCache(tmp_path / "calls.sqlite", writes=False)
    assert again.get(KEY) == replace(REPLY, from_cache=True, seconds=0.0)
    assert (again.hits, again.misses) == (1, 0)


def test_only_what_decides_a_reply_makes_another_key(tmp_path: Path) -> None:
    model = Counting()
    cached = CachedModel(model, CallCache(tmp_path / "c"), {"weights": "a"})
    first = ask(cached, sample="s", step=1)
    assert ask(cached, sample="s", step=1) == replace(first, from_cache=True, seconds=0.0)
    others: list[dict[str, Any]] = [
        {"messages": [Message("user", "another")]},
        {"messages": [Message("system", ASK[0].content)]},
        {"sampling": Sampling(temperature=0.7)},
        {"sampling": Sampling(max_tokens=9)},
        {"sampling": Sampling(stop=("x",))},
        {"sampling": Sampling(choices=("Yes", "No"))},
        {"step": 2},
        {"run_seed": 1},
        {"role": "judge"},
    ]
    for number, other in enumerate(others, start=2):
        assert not ask(cached, **{"sample": "s", "step": 1, **other}).from_cache
        assert model.calls == number
    assert not ask(CachedModel(model, CallCache(tmp_path / "c"), {"weights": "b"}), sample="s", step=1).from_cache


def test_what_raises_is_not_kept(tmp_path: Path) -> None:
    cached = CachedModel(Counting(), CallCache(tmp_path / "c"), {})
    for _ in range(2):
        with pytest.raises(ContextOverflow):
            ask(cached, messages=ASK * 6)


def test_reading_keeps_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    missing = CallCache(tmp_path / "c", writes=False)
    missing.put(KEY, REPLY)
    assert missing.get(KEY) is None and not (tmp_path / "c").exists() and "cache=write makes one" in caplog.text
    CallCache(tmp_path / "c").put(KEY, REPLY)
    reader = CallCache(tmp_path / "c", writes=False)
    reader.put(bytes([1]) * 32, REPLY)
    assert reader.get(bytes([1]) * 32) is None and reader.get(KEY) is not None


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE replies SET reply = substr(reply, 1, 20)",
        "UPDATE replies SET reply = 'null'",
        "UPDATE replies SET digest = x'00'",
        "UPDATE replies SET reply = x'ff00'",
    ],
)
def test_a_damaged_entry_is_a_miss_with_a_warning(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = CallCache(tmp_path / "c")
    cache.put(KEY, REPLY)
    database = sqlite3.connect(tmp_path / "c")
    database.execute(damage)
    database.commit()
    database.close()
    assert cache.get(KEY) is None and "is damaged" in caplog.text
    cache.put(KEY, REPLY)
    assert cache.get(KEY) is not None


def test_a_file_that_is_no_cache_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "c").write_bytes(b"not a database, and longer than a header of SQLite's would be" * 100)
    before = (tmp_path / "c").read_bytes()
    cache = CallCache(tmp_path / "c")
    cache.put(KEY, REPLY)
    assert cache.get(KEY) is None and (tmp_path / "c").read_bytes() == before
    assert "delete it to begin a new one" in caplog.text


def test_a_place_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cache\.directory="):
        CallCache(tmp_path / "file" / "c")


WRITER = """
import sys
from agentx.models.cache import CallCache
from agentx.models.chat import Completion
from pathlib import Path
cache = CallCache(Path(sys.argv[1]))
for i in range(int(sys.argv[3])):
    cache.put(f"{sys.argv[2]} {i}".encode(), Completion(f"{sys.argv[2]} {i}" * 20, i, i))
    print(i, flush=True)
"""


def writer(path: Path, name: str, count: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_several_processes_write_at_once_and_one_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "c"
    steady = [writer(path, name, 300) for name in ("a", "b")]
    doomed = writer(path, "k", 10**9)
    assert doomed.stdout is not None
    for _ in range(50):
        last = int(doomed.stdout.readline())
    os.kill(doomed.pid, signal.SIGKILL)
    doomed.wait()
    for process in steady:
        process.communicate(timeout=120)
        assert process.returncode == 0
    cache = CallCache(path)
    for name, count in (("a", 300), ("b", 300), ("k", last + 1)):
        for i in range(count):
            kept = cache.get(f"{name} {i}".encode())
            assert kept is not None and kept.text == f"{name} {i}" * 20 and kept.prompt_tokens == i
    assert cache.misses == 0


def test_the_identity_follows_content_not_place(tmp_path: Path, llama_directories: dict[str, Path]) -> None:
    first = llama_directories["chatml"]
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in first.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    backend = BackendSettings(device="cpu")
    same = [reply_identity(ModelSettings("m", source=str(place)), backend, None) for place in (first, copy)]
    assert same[0] == same[1]
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert reply_identity(ModelSettings("m", source=str(copy)), backend, None) != same[0]
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    adapted = reply_identity(ModelSettings("m", source=str(first)), backend, adapter)
    assert adapted["adapter"] and adapted != same[0]
    served = BackendSettings(name="openai", base_url=["http://b:1/v1", "http://a:1/v1"])
    assert reply_identity(ModelSettings("m", api_name="x"), served, None)["servers"] == [
        "http://a:1/v1",
        "http://b:1/v1",
    ]


def test_a_server_that_is_asked_in_another_way_is_another() -> None:
    model = ModelSettings("m", api_name="x")
    ways = [
        BackendSettings(name="openai", base_url="http://a:1/v1", **options)
        for options in ({}, {"render": "local"}, {"choices": "structured_outputs"}, {"choices": "json_schema"})
    ]
    asked = [reply_identity(model, way, None) for way in ways]
    assert all(asked.count(one) == 1 for one in asked)
    quick = BackendSettings(name="openai", base_url="http://a:1/v1", max_concurrency=1, max_retries=0, timeout=5)
    assert reply_identity(model, quick, None) == asked[0]


def test_large_files_are_told_apart_by_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentx.models.identity.HASHED_WHOLE", 1000)
    monkeypatch.setattr("agentx.models.identity.BLOCK", 16)
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(5000))
    before = directory_digest(tmp_path, ("*.safetensors",))
    path.write_bytes(bytes(4999) + b"x")
    assert directory_digest(tmp_path, ("*.safetensors",)) != before


def test_a_process_that_waits_for_another_is_not_refused(tmp_path: Path) -> None:
    """A writer holds the file for a moment, as a checkpoint does."""
    cache = CallCache(tmp_path / "c")
    other = sqlite3.connect(tmp_path / "c", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    import threading

    threading.Thread(target=lambda: (time.sleep(0.3), other.execute("COMMIT"))).start()
    cache.put(KEY, REPLY)
    assert cache.get(KEY) is not None


def test_kept_as_plain_json(tmp_path: Path) -> None:
    """Nothing that reads it runs code."""
    CallCache(tmp_path / "c").put(KEY, REPLY)
    (text,) = sqlite3.connect(tmp_path / "c").execute("SELECT reply FROM replies").fetchone()
    assert json.loads(text)["text"] == REPLY.text
