"""SQL trajectories verified on a real server (task.engine=mysql)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentx.tasks.database import server

SHARED = ["task=db", "task.engine=mysql", "job.pool=3", "job.filters.leakage_samples=4"]


@pytest.fixture(autouse=True)
def a_server_program():
    if server.server_program() is None:
        pytest.skip("no mariadbd here: install mariadb-server-core to verify SQL on a real server")


@pytest.fixture()
def executed(monkeypatch):
    """Statements that agents had executed by the server."""
    from agentx.tasks.database.mysql import MysqlDatabase

    found = []
    execute = MysqlDatabase.execute

    def noted(self, statement):
        found.append(statement)
        return execute(self, statement)

    monkeypatch.setattr(MysqlDatabase, "execute", noted)
    return found


@pytest.mark.parametrize("environment", ["simulated", "verified"])
def test_statements_are_played_again_on_the_server(construct, made, executed, environment):
    kinds = "task.kinds=[aggregation-MAX,INSERT,UPDATE,DELETE]"
    done = construct(*SHARED, "data.size=4", kinds, f"job.environment={environment}")
    assert done.returncode == 0, done.stderr
    kept = made("constructed/*.jsonl")
    assert len(kept) == 4
    said = [turn["value"] for record in kept for turn in record["conversations"] if turn["from"] == "gpt"]
    assert executed and all(any(statement in text for text in said) for statement in executed)
    # The embedded engine, from which the scripted teacher knows the replies, writes MAX of a text otherwise.
    changed = [turn for record in kept for turn in record["metadata"]["turns"] if turn["by"] == "real" and turn["said"]]
    assert changed and all(turn["said"].replace(",)", ".0,)") == turn["real"] for turn in changed)


def test_a_table_that_was_changed_otherwise_than_asked_is_found_by_the_server(construct, made, tmp_path):
    """The outcome of a mutation is the table's hash, which only the server has."""
    assert construct(*SHARED, "data.size=3", "task.kinds=[DELETE]").returncode == 0
    (path,) = Path(tmp_path / "out").glob("construction/*/dialogues.jsonl")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records[:2]:
        turn = next(turn for turn in record["turns"] if "DELETE" in turn["action"])
        for part in ("action", "reply"):
            turn[part] = turn[part].replace(" = ", " <> ")
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    (path.parent / "verified.jsonl").unlink()
    done = construct(*SHARED, "data.size=3", "task.kinds=[DELETE]")
    assert done.returncode == 0 and "3 begun: 1 verified, 0 repaired, 2 rejected; 1 kept." in done.stdout
    reasons = [record["metadata"]["verdict"]["reason"] for record in made("construction/*/rejected.jsonl")]
    assert reasons == ["goal_not_reached"] * 2
