from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from agentx.errors import UserError
from agentx.review.decisions import Decisions
from agentx.review.items import read_items
from agentx.review.server import listen, make_app
from agentx.review.session import Review

DECISION = {"position": 0, "reviewer": "Kim", "choice": "accept", "comment": "", "edits": {}, "seconds": 2}


@pytest.fixture
def review(made: Path, tmp_path: Path) -> Review:
    return Review(read_items(made), Decisions(tmp_path / "d.jsonl"))


@pytest.fixture
def client(review: Review) -> TestClient:
    return TestClient(make_app(review, None), base_url="http://127.0.0.1:8760")


def test_a_decision_is_on_disk_when_it_is_answered(client: TestClient, review: Review) -> None:
    answer = client.post("/decision", json=DECISION)
    assert answer.status_code == 200 and answer.json()["done"] == 1
    assert len(Decisions(review.decisions.path).counting()) == 1


def test_other_hosts_names_are_not_answered(review: Review) -> None:
    stranger = TestClient(make_app(review, None), base_url="http://evil.example")
    assert stranger.get("/progress?reviewer=Kim").status_code == 400


def test_a_form_of_another_page_decides_nothing(client: TestClient, review: Review) -> None:
    assert client.post("/decision", content="{}", headers={"content-type": "text/plain"}).status_code == 415
    assert not review.decisions.counting()


@pytest.mark.parametrize("body", [b"{", b"[1]", b'{"position": "x"}', b"[" * 100_000, b" " * 5_000_000])
def test_malformed_decisions_are_refused_in_one_line(client: TestClient, review: Review, body: bytes) -> None:
    answer = client.post("/decision", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400 and "\n" not in answer.json()["error"]
    assert not review.decisions.counting()


def test_beyond_this_machine_a_token_is_needed(review: Review) -> None:
    client = TestClient(make_app(review, "secret"), base_url="http://192.0.2.7")
    assert client.get("/progress?reviewer=Kim").status_code == 403
    assert client.get("/item?position=0&reviewer=Kim&token=wrong").status_code == 403
    assert client.get("/item?position=0&reviewer=Kim&token=secret").status_code == 200
    assert client.post("/decision", json=DECISION, headers={"x-token": "secret"}).status_code == 200


def test_the_page_may_run_nothing_but_its_own_script(client: TestClient) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy


def test_a_taken_port_is_named() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(UserError, match=r"job\.port=\d+: cannot listen"):
        listen("127.0.0.1", taken.getsockname()[1])
