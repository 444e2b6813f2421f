"""Engines to test on, a small table, and where shared data are."""

import os
from pathlib import Path

import pytest

from agentx.tasks.database import server
from agentx.tasks.database.sqlite import SqliteEngine
from agentx.tasks.database.tables import Table

SHARED = Path(os.environ.get("AGENTX_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))


@pytest.fixture(scope="session")
def mariadb():
    """A private MariaDB for the whole session."""
    if server.server_program() is None:
        pytest.skip("no mariadbd here: install mariadb-server-core to test the mysql engine")
    from agentx.tasks.database.mysql import engine_at

    return engine_at(None)


@pytest.fixture(params=["sqlite", "mysql"])
def engine(request):
    return SqliteEngine() if request.param == "sqlite" else request.getfixturevalue("mariadb")


@pytest.fixture
def agentbench():
    folder = SHARED / "agentbench"
    if not (folder / "dbbench" / "dev.jsonl").is_file():
        pytest.skip(f"no AgentBench data at {folder} (set AGENTX_SHARED_DATA)")
    return folder


@pytest.fixture
def table():
    rows = tuple((f"name {number}", str(number), "x" if number % 2 else "Y") for number in range(1, 13))
    return Table("Some Things", ("Name", "Size", "Kind %"), rows)
