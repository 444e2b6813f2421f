import asyncio
import os
from pathlib import Path

import pytest

from agentx.tasks.operating_system.availability import sandbox_kind

ROOT = Path(__file__).resolve().parents[3]


def pytest_collection_modifyitems(items):
    found = sandbox_kind("namespaces")
    if found.works:
        return
    for item in items:
        if item.get_closest_marker("sandbox"):
            item.add_marker(pytest.mark.skip(reason=f"no sandbox here: {found.line}"))


def pytest_configure(config):
    config.addinivalue_line("markers", "sandbox: starts a real sandbox")


@pytest.fixture
def run():
    """Run a coroutine within two minutes."""
    return lambda coroutine: asyncio.run(asyncio.wait_for(coroutine, 120))


@pytest.fixture(scope="session")
def dev_samples():
    """AgentBench's dev.json, which is not part of the project."""
    shared = Path(os.environ.get("AGENTX_SHARED_DATA", ROOT.parent / "shared" / "data"))
    path = shared / "agentbench" / "os_interaction" / "data" / "dev.json"
    if not path.is_file():
        pytest.skip(f"{path} is not there; set AGENTX_SHARED_DATA")
    return path
