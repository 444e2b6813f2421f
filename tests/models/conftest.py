"""One thread (several test processes on few cores stall each other otherwise), and a scripted chat server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


class Listener(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


class ScriptedServer:
    """Answers chat completions with what `answer(body, n)` says for the n-th request: (status, content) or (status,
    content, headers). Content is JSON, bytes, or an iterator of bytes that is sent as it comes; status 0 cuts the
    connection, and so does an iterator that ends before `Content-Length` bytes."""

    def __init__(self, answer: Callable[[dict[str, Any], int], tuple[Any, ...]] | None = None, port: int = 0) -> None:
        self.answer = answer or (lambda body, n: (200, self.completion("ACTION: look")))
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.keys: list[str] = []
        self.open = self.most_open = 0
        server, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    server.bodies.append(body)
                    server.keys.append(self.headers["Authorization"])
                    n = len(server.bodies)
                    server.open += 1
                    server.most_open = max(server.most_open, server.open)
                try:
                    status, content, *rest = server.answer(body, n)
                finally:
                    with lock:
                        server.open -= 1
                if status == 0:
                    self.close_connection = True
                    return
                self.send_response(status)
                headers = {"Content-Type": "application/json", **(rest[0] if rest else {})}
                if status == 429 and not rest:
                    headers["Retry-After"] = "0.01"
                pieces: Any = content
                if not isinstance(content, Iterator):
                    data = content if isinstance(content, bytes) else json.dumps(content).encode()
                    headers.setdefault("Content-Length", str(len(data)))
                    pieces = [data]
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for piece in pieces:
                        self.wfile.write(piece)
                        self.wfile.flush()
                except OSError:
                    self.close_connection = True
                if isinstance(content, Iterator):
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = Listener(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    @staticmethod
    def completion(text: str, prompt_tokens: int = 11, completion_tokens: int = 4, **changes: Any) -> dict[str, Any]:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 8},
        }
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        return {**answer, "usage": usage, **changes}

    def stop_listening(self) -> None:
        """New connections are refused; those that are open stay."""
        self._http.socket.close()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture()
def scripted_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ScriptedServer]]:
    """Starts as many as a test asks for."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    started: list[ScriptedServer] = []

    def start(answer: Callable[[dict[str, Any], int], tuple[Any, ...]] | None = None, port: int = 0) -> ScriptedServer:
        started.append(ScriptedServer(answer, port))
        return started[-1]

    yield start
    for server in started:
        server.close()
