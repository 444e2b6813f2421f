"""A simulated teacher behind OpenAI's chat interface, on this machine: for tests, benchmarks and dry runs.

It is no language model. It knows from a request's seed which trajectory, role and turn is asked for, lets the scripted
teacher answer, and is wrong in seeded ways and at given rates: malformed, refusing, empty, or untrue. What it says when
it is wrong is data, `faults.yaml`. `record` keeps every answer; `Replay` gives recorded ones again.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any

import yaml

from agentx.construction.workshops import Workshop
from agentx.conversation import Message
from agentx.models.chat import Request, Sampling
from agentx.trajectory import Purpose

NAME = "simulated-teacher"
RATES = {"malformed": 0.02, "refusing": 0.005, "empty": 0.005, "untrue": 0.05}
"""shares of a role's answers that are wrong in each way"""
Answer = tuple[int, dict[str, Any]]


@dataclass
class SimulatedTeacher:
    """Answers for trajectories `0 … size - 1` of a workshop; any other request gets status 400."""

    workshop: Workshop
    seed: int
    size: int
    max_turns: int = 20
    asks: int = 2
    rates: Mapping[str, float] = field(default_factory=lambda: dict(RATES))
    record: dict[int, str] = field(default_factory=dict)
    """answers given, by the seed of their requests"""

    def __post_init__(self) -> None:
        self._ids = [self.workshop.begin(index).id for index in range(self.size)]
        self._asked: dict[int, tuple[int, Request]] = {}
        for index, name in enumerate(self._ids):
            for role in self.workshop.roles:
                for step in range(1 if role == "question" else self.max_turns + 1):
                    for attempt in range(self.asks):
                        request = Request(self.seed, name, 0, 0, step, attempt, role, Purpose.WRITE)
                        self._asked[request.seed] = index, request

    def answer(self, body: Mapping[str, Any]) -> Answer:
        known = self._asked.get(body.get("seed", -1))
        if known is None:
            return 400, {"error": {"message": "the simulated teacher does not know this request's seed"}}
        index, request = known
        messages = [Message(message["role"], message["content"]) for message in body["messages"]]
        scripted = self.workshop.scripted(index)
        right = asyncio.run(scripted.generate(messages, Sampling(), request)).text
        said = self._wrong(right, request)
        self.record[request.seed] = said
        return 200, completion(said, messages)

    def _wrong(self, right: str, request: Request) -> str:
        """The right reply, or at the given rates a wrong one."""
        rng = random.Random(f"fault/{request.seed}")
        draw = rng.random()
        for kind, rate in self.rates.items():
            draw -= rate
            ways = _faults().get(request.role, {}).get(kind, [])
            if draw < 0:
                return _filled(rng.choice(ways), right) if ways else right
        return right


@dataclass
class Replay:
    """Gives recorded answers, by the seed of the request."""

    record: Mapping[int, str]
    missed: list[int] = field(default_factory=list)

    def answer(self, body: Mapping[str, Any]) -> Answer:
        said = self.record.get(body.get("seed", -1))
        if said is None:
            self.missed.append(body.get("seed", -1))
            return 400, {"error": {"message": "there is no recorded answer for this request's seed"}}
        return 200, completion(said, [Message(message["role"], message["content"]) for message in body["messages"]])


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that was killed or gave up is nothing to tell of; anything else is."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Server:
    """Serves `answer` on a free port of the loopback interface; use as a context manager. `calls` counts requests."""

    def __init__(self, answer: Callable[[Mapping[str, Any]], Answer]) -> None:
        self.calls = 0
        lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    server.calls += 1
                status, content = answer(body)
                data = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                """Requests are counted, not told."""

        self._http = _QuietServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> Server:
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.shutdown()
        self._http.server_close()


def completion(text: str, messages: list[Message]) -> dict[str, Any]:
    """An answer as OpenAI's interface gives it; four characters count as a token."""
    prompt, reply = sum(len(message.content) for message in messages) // 4, len(text) // 4
    usage = {"prompt_tokens": prompt, "completion_tokens": reply, "total_tokens": prompt + reply}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": NAME, "choices": [choice], "usage": usage}


def _filled(way: str, right: str) -> str:
    """A wrong way to say it, with parts of the right one in it. Values are never read as templates."""
    found = re.search(r"^FEEDBACK: (.*)$", right, re.MULTILINE)
    feedback = found.group(1) if found else right
    second = next((line for line in right.splitlines() if line.startswith(("TARGET:", "LAMP:"))), "TARGET: shelf")
    emptied = re.sub(r"you see .*", "you see nothing.", feedback)
    crowded = re.sub(r"you see (?:nothing\.|a )", "you see a pencil 7, and a ", feedback).replace("and a  ", "and a ")
    muddled = re.sub(r"(?<=OUTPUT:\n).+", "no such file or directory", right, count=1)
    values = {
        "reply": right,
        "feedback": feedback,
        "second": second,
        "emptied": emptied,
        "crowded": crowded,
        "muddled": muddled,
    }
    return re.sub(r"\{(\w+)\}", lambda place: values[place.group(1)], way)


@cache
def _faults() -> Any:
    return yaml.safe_load(resources.files(__package__).joinpath("faults.yaml").read_text(encoding="utf-8"))
