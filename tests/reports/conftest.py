"""Cells as a run leaves them (config.yaml, plan.json, episodes.jsonl, summary.json), and a browser to look at pages."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from agentx.evaluation.store import ResultStore
from agentx.evaluation.summary import Plan, summarise_cell
from agentx.trajectory import Candidate, ModelCall, Outcome, Purpose, Step, Trajectory, Verdict
from agentx.trajectory import Path as Attempt

MakeCell = Callable[..., Path]


def trajectory(sample: str, reward: float, text: str = "go to desk 1") -> Trajectory:
    candidates = [Candidate(f"THOUGHT: {text}\nACTION: {text}", text, text), Candidate(text, None, duplicate=True)]
    step = Step(0, candidates, 0, text, reward, True, Verdict.VALID, 0, True, executed=text + "!", notices=[text])
    opening = [{"role": "user", "content": text}]
    attempt = Attempt(0, opening, [text], [step], reward, Outcome.COMPLETED, judged_success=True)
    calls = [
        ModelCall(Purpose.ACT, "policy", 0, 0, 0, 1, text, 100, 50, 20, 0.1, "stop"),
        *[
            ModelCall(purpose, "judge", path, step, 0, 1, text, 30, 0, 1, 0.1, "stop", opening)
            for purpose, path, step in (
                (Purpose.PLAN, 0, 0),
                (Purpose.SUBTASK_DONE, 0, 0),
                (Purpose.TASK_DONE, 0, 1),
                (Purpose.SCORE, 7, 0),
            )
        ],
    ]
    return Trajectory(
        sample,
        0,
        [attempt],
        calls,
        0,
        reward,
        reward >= 1,
        Outcome.COMPLETED,
        notices={text: 1},
        metadata={"kind": text},
    )


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    return tmp_path / "cells"


@pytest.fixture
def make_cell(cells: Path) -> MakeCell:
    def make(
        name: str,
        rewards: Sequence[float] = (1.0, 0.0),
        label: str = "household (generated)",
        text: str = "go to desk 1",
        error: str = "",
        summarised: bool = True,
        expected: int | None = None,
        **config: Any,
    ) -> Path:
        directory = cells / name
        store = ResultStore(directory)
        resolved = {
            "model": {"name": "tiny"},
            "tuning": {"name": "lora"},
            "data": {"agent": ["experts"], "general": ["some/chats.json"]},
            "task": {"name": "household"},
            "method": {"name": "react", "num_path": 1, "num_branch": 1},
            "lambda": 0.5,
            "num_path": None,
            "num_branch": None,
            "seed": 0,
        }
        (directory / "config.yaml").write_text(yaml.safe_dump({**resolved, **config}))
        samples = [f"s{i}" for i in range(expected if expected is not None else len(rewards) + bool(error))]
        Plan("household", label, 1.0, [(sample, 0) for sample in samples]).write(directory)
        for i, reward in enumerate(rewards):
            store.append(trajectory(f"s{i}", reward, text))
        if error:
            store.append(Trajectory(f"s{len(rewards)}", outcome=Outcome.INFRASTRUCTURE_ERROR, limit=error))
        if summarised:
            summarise_cell(directory)
        return directory

    return make


class Browser:
    """Chromium with one page. `errors` holds what scripts threw and what the console was told, `requests` what was
    asked for, `dialogs` the texts of alerts."""

    def __init__(self, program: str, width: int = 1440, height: int = 900) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="agentx-browser-"))
        self.loop = asyncio.new_event_loop()
        self.process = subprocess.Popen(
            [
                program,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--no-first-run",
                "--force-color-profile=srgb",
                "--remote-debugging-port=0",
                f"--user-data-dir={self.folder}",
                f"--window-size={width},{height}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        self.numbers = itertools.count(1)
        try:
            self.loop.run_until_complete(self._connect())
        except BaseException:
            self.close()
            raise

    async def _connect(self) -> None:
        written = self.folder / "DevToolsActivePort"
        deadline = time.monotonic() + 120
        while not (written.exists() and written.read_text().strip()):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError("Chromium did not start")
            await asyncio.sleep(0.1)
        port = written.read_text().split()[0]
        self.session = aiohttp.ClientSession()
        while True:
            async with self.session.get(f"http://127.0.0.1:{port}/json") as answer:
                pages = [page for page in await answer.json() if page["type"] == "page"]
            if pages:
                break
            await asyncio.sleep(0.1)
        self.socket = await self.session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0)
        for domain in ("Page", "Runtime", "Network", "Log"):
            await self._send(f"{domain}.enable")

    async def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self.numbers)
        await self.socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(120):
            while True:
                message = json.loads((await self.socket.receive()).data)
                if message.get("id") == number:
                    assert "error" not in message, message
                    return message["result"]
                await self._notice(message["method"], message["params"])

    async def _notice(self, event: str, facts: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            self.errors.append(facts["exceptionDetails"].get("exception", {}).get("description", str(facts)))
        elif event == "Log.entryAdded" and facts["entry"]["level"] == "error":
            self.errors.append(facts["entry"]["text"])
        elif event == "Network.requestWillBeSent":
            self.requests.append(facts["request"]["url"])
        elif event == "Page.javascriptDialogOpening":
            self.dialogs.append(facts["message"])
            number = next(self.numbers)
            await self.socket.send_json(
                {"id": number, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
            )

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.loop.run_until_complete(self._send(method, **parameters))

    def open(self, address: str) -> None:
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def evaluate(self, script: str) -> Any:
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while not self.evaluate(condition):
            assert time.monotonic() < deadline, f"never came true: {condition}; {self.errors}"
            time.sleep(0.02)

    def picture(self, path: Path) -> None:
        data = self.send("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        try:
            if hasattr(self, "session"):
                self.loop.run_until_complete(self.session.close())
        finally:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.loop.close()
            shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if program is None:
        pytest.skip("there is no Chromium here (apt install chromium)")
    browser = Browser(program)
    yield browser
    browser.close()


@pytest.fixture
def browser(shared_browser: Browser) -> Browser:
    """A page in headless Chromium that has seen nothing yet."""
    shared_browser.open("about:blank")
    for seen in (shared_browser.errors, shared_browser.requests, shared_browser.dialogs):
        seen.clear()
    return shared_browser
