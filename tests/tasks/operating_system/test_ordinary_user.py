"""The sandbox of an ordinary user, for real: these tests become one, so they need root, setpriv and a system python."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PYTHON = "/usr/bin/python3"
PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from agentx.tasks.operating_system.families import NEED_USER_IDS
from agentx.tasks.operating_system.preparation import sandboxes
from agentx.tasks.operating_system.sandbox import Limits

async def main():
    there = sandboxes("namespaces", folder=Path(sys.argv[1]))
    sandbox = await there.start(Limits())
    script = "id -u; whoami; touch /root/x && echo written; chown 1 /root/x && echo given; cat " + sys.argv[2]
    try:
        done = await sandbox.run(["bash", "-c", script], 20)
    finally:
        await sandbox.close()
    print(json.dumps([done.output.decode(), there.several_ids, there.about["details"], list(NEED_USER_IDS)]))

asyncio.run(main())
"""

pytestmark = pytest.mark.sandbox


@pytest.fixture
def as_nobody(tmp_path):
    """Runs a program as nobody, with a folder of its own."""
    if os.geteuid() or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv to become an ordinary user")
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    probe = [*become, PYTHON, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); import agentx.errors, tomllib"]
    if subprocess.run(probe, capture_output=True, cwd="/").returncode:
        pytest.skip(f"an ordinary user has no {PYTHON} of 3.11 here that may read the project")
    folder = Path(subprocess.check_output([*become, "mktemp", "-d"], text=True).strip())
    (tmp_path / "canary").write_text("secret")
    arguments = [str(folder), str(tmp_path / "canary")]

    def run():
        done = subprocess.run(
            [*become, "env", "-i", f"PYTHONPATH={ROOT}", "PATH=/usr/bin:/bin", PYTHON, "-c", PROGRAM, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            cwd="/",
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    yield run
    shutil.rmtree(folder)


def test_is_root_inside_alone_and_says_what_that_costs(as_nobody):
    output, several, details, lost = as_nobody()
    if several:
        pytest.skip("nobody has a range of user ids here (/etc/subuid)")
    assert output == "0\nroot\nwritten\n"
    assert "a single user id" in details and lost == ["create_user", "change_owner"]
