"""The private server ends with its owner, however that ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentx.errors import ConfigError, UserError
from agentx.tasks.database import server
from agentx.tasks.database.server import Address

OWNER = """
import os, signal, sys, time
from agentx.tasks.database import mysql, server
engine = mysql.engine_at(None)
private = server._shared[os.getpid()]
print(private.folder, private.watchdog.pid, (private.folder / "pid").read_text().strip(), flush=True)
if sys.argv[1] == "fork" and os.fork() == 0:
    time.sleep(5)
    os._exit(0)
time.sleep(60 if sys.argv[1] != "return" else 0)
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")
@pytest.mark.parametrize("end", ["return", "SIGKILL", "SIGTERM", "fork", "watchdog killed"])
def test_no_server_outlives_its_owner(end):
    if server.server_program() is None:
        pytest.skip("no mariadbd here: install mariadb-server-core to test the mysql engine")
    owner = subprocess.Popen([sys.executable, "-c", OWNER, end], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    folder, watchdog, mariadb = owner.stdout.readline().split()
    if end == "watchdog killed":
        os.kill(int(watchdog), signal.SIGKILL)
    elif end != "return":
        owner.send_signal(signal.SIGTERM if end == "SIGTERM" else signal.SIGKILL)
    deadline = time.monotonic() + 20
    while alive(int(mariadb)) or (end != "watchdog killed" and (alive(int(watchdog)) or os.path.exists(folder))):
        assert time.monotonic() < deadline, "the server is still there"
        time.sleep(0.05)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    if end == "watchdog killed":
        subprocess.run(["rm", "-rf", folder], check=True)


def test_the_server_is_shared_and_leaves_the_network_alone(mariadb):
    from agentx.tasks.database.mysql import engine_at

    assert engine_at(None).address == mariadb.address
    assert mariadb.run("SELECT @@skip_networking, @@local_infile")[0] == (1, 0)


def test_without_a_server_program_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setattr(server, "server_program", lambda: None)
    with pytest.raises(UserError, match=r"mariadb-server-core.*task\.dsn.*task\.engine=sqlite"):
        server.start(lambda address: True)


@pytest.mark.parametrize(
    ("dsn", "address"),
    [
        ("mysql://me:p%40ss@db.example:3307", Address("me", "p@ss", "db.example", 3307)),
        ("mysql://me@localhost", Address("me", "", "localhost", 3306)),
        ("mysql://me@/run/mysqld/socket", Address("me", "", "localhost", 3306, "/run/mysqld/socket")),
    ],
)
def test_dsn(dsn, address):
    from agentx.tasks.database.mysql import parse_dsn

    assert parse_dsn(dsn) == address


@pytest.mark.parametrize(
    "dsn", ["", "localhost", "postgres://me@host", "mysql://host", "mysql://me@host/db", "mysql://me@host:port"]
)
def test_a_bad_dsn_is_refused_and_its_password_not_shown(dsn):
    from agentx.tasks.database.mysql import parse_dsn

    with pytest.raises(ConfigError, match=r"task\.dsn"):
        parse_dsn(dsn)


def test_an_unreachable_server_is_one_line(tmp_path):
    from agentx.tasks.database.mysql import engine_at

    with pytest.raises(UserError, match=r"task\.dsn: the database server failed"):
        engine_at(f"mysql://me@{tmp_path}/socket")
