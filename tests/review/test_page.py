"""The page in a real headless browser, served by `python run.py job=review` as a person would start it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")


@contextmanager
def reviewing(tmp_path: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command, started; yields the page's address. Ends by Ctrl-C."""
    command = [sys.executable, "run.py", "job=review", f"paths.output={tmp_path / 'out'}", *options]
    process = subprocess.Popen(
        [*command, "job.port=0", "job.open_browser=false"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"to review at (\S+)", line):
                yield found[1], process
                break
        else:
            raise AssertionError("the review did not start")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield running
        running.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


def sign_in(page: Any, address: str, name: str) -> None:
    page.goto(address)
    page.fill("#name", name)
    page.press("#name", "Enter")
    page.wait_for_selector(".turn")


def press(page: Any, key: str, then: str) -> None:
    page.keyboard.press(key)
    page.wait_for_function("text => document.getElementById('place').textContent.startsWith(text)", arg=then)


def test_judging_by_keys_survives_a_crash_and_becomes_training_data(page: Any, made: Path, tmp_path: Path) -> None:
    with reviewing(tmp_path, f"job.files=[{made}]") as (address, process):
        sign_in(page, address, "Kim")
        assert "1 / 3" in page.text_content("#place")
        press(page, "a", "2 / 3")
        # What a model wrote stays text, whatever it tries to be.
        assert "<script>" in page.text_content(".turn.assistant pre")
        assert page.title() == "Review" and page.locator(".turn img").count() == 0
        page.keyboard.press("c")
        page.keyboard.type("suspicious")
        page.keyboard.press("Escape")
        press(page, "r", "3 / 3")
        page.keyboard.press("e")
        page.fill(".turn textarea", "THOUGHT: Better.\nACTION: take mug 3")
        page.keyboard.press("Escape")
        process.send_signal(signal.SIGKILL)
        process.wait()
        page.keyboard.press("a")
        page.wait_for_selector("#message.bad")
        assert "nothing decided is lost" in page.text_content("#message")
    with reviewing(tmp_path, f"job.files=[{made}]") as (address, process):
        sign_in(page, address, "Kim")
        assert "2 of 3 decided" in page.text_content("#done") and "3 / 3" in page.text_content("#place")
        page.keyboard.press("e")
        page.fill(".turn textarea", "THOUGHT: Better.\nACTION: take mug 3")
        page.keyboard.press("Escape")
        page.keyboard.press("a")
        page.wait_for_function("() => document.getElementById('done').textContent.startsWith('3 of 3')")
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        told = process.stdout.read()
        assert process.wait() == 0, told
    assert "2 accepted, 1 edited, 1 rejected, 0 open" in told
    reviewed = tmp_path / "out" / "review" / "made.reviewed.jsonl"
    records = [json.loads(line) for line in reviewed.read_text().splitlines()]
    assert [record["id"] for record in records] == ["train-1", "train-3"]
    assert records[1]["conversations"][1]["value"].startswith("THOUGHT: Better.")


def test_comparing_blindly(page: Any, made: Path, other: Path, tmp_path: Path) -> None:
    options = (f"job.files=[{made},{other}]", "job.mode=compare")
    with reviewing(tmp_path, *options) as (address, process):
        for name in ("Kim", "Lee"):
            sign_in(page, address, name)
            assert page.locator(".side").count() == 2
            text = page.text_content("body")
            assert "other" not in text and "simulated" not in page.text_content("#facts")
            for place in (2, 3, 3):
                left = page.text_content(".side:first-child .turn.assistant pre")
                done = page.text_content("#done")
                page.keyboard.press("1" if "A different" in left else "2")
                page.wait_for_function("old => document.getElementById('done').textContent !== old", arg=done)
                page.wait_for_function(
                    "text => document.getElementById('place').textContent.startsWith(text)", arg=f"{place} / 3"
                )
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        told = process.stdout.read()
    assert "other is preferred in 100.0 %" in told and "of 6 comparisons" in told
    assert "Kim, Lee" in told
