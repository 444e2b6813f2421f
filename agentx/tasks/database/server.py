"""A private MariaDB: its own data directory and socket, no network, gone when this process is."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agentx.errors import UserError

_WATCHDOG = Path(__file__).with_name("watchdog.py")
_START_SECONDS = 60.0
_MEMORY = 4 << 30
"""bytes free in the memory file system for the data to be put there; they never take half of it"""
_SMALL_LOG = "--innodb-log-file-size=8M"
_SYSTEM_TABLES = ("mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql")
_OPTIONS = (
    _SMALL_LOG,
    "--skip-networking",
    "--skip-log-bin",
    "--local-infile=0",
    "--event-scheduler=DISABLED",
    "--character-set-server=utf8mb4",
    # The data are thrown away: durability would only cost time.
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-flush-method=nosync",
    # All tables in one file of bounded size: no statement of an agent can fill the disk or the memory.
    "--innodb-file-per-table=0",
    "--innodb-data-file-path=ibdata1:12M:autoextend:max:1G",
    "--innodb-temp-data-file-path=ibtmp1:12M:autoextend:max:512M",
    "--enforce-storage-engine=InnoDB",
    "--sync-frm=0",
    "--innodb-buffer-pool-size=64M",
    "--innodb-buffer-pool-dump-at-shutdown=0",
    "--innodb-fast-shutdown=2",
    "--aria-pagecache-buffer-size=8M",
    "--key-buffer-size=1M",
    "--tmp-table-size=16M",
    "--max-heap-table-size=16M",
    "--max-session-mem-used=268435456",
    "--max-connections=1000",
    "--max-allowed-packet=1M",
    "--skip-name-resolve",
    "--performance-schema=0",
)


@dataclass(frozen=True)
class Address:
    """Where a server listens and as whom it is entered."""

    user: str
    password: str = ""
    host: str = "localhost"
    port: int = 3306
    socket: str | None = None


class PrivateServer:
    """A running server; `close` stops it, and so does the end of this process in whatever way."""

    def __init__(self, folder: Path, watchdog: subprocess.Popen[bytes], address: Address) -> None:
        self.address = address
        self.folder = folder
        self.watchdog = watchdog

    def close(self) -> None:
        """Stops the server and removes its data; returns when both are done."""
        if self.watchdog.stdin is not None:
            self.watchdog.stdin.close()
        self.watchdog.wait()


def start(ready: Callable[[Address], bool]) -> PrivateServer:
    """Install and start a server, and wait until `ready` says that it answers.

    Raises UserError where no server program is installed and OSError when it does not come up.
    """
    program = server_program()
    scripts = None if program is None else system_tables(Path(program))
    if program is None or scripts is None:
        raise UserError(
            "task.engine=mysql: no MariaDB server is installed here; install it (Debian: apt install "
            "mariadb-server-core), name a server with task.dsn, or use task.engine=sqlite"
        )
    # Paths of sockets are limited to about 100 bytes, so the folder is not put below paths.output.
    folder = Path(tempfile.mkdtemp(prefix="agentx-db-", dir=_place()))
    try:
        data, socket, log = folder / "data", folder / "socket", folder / "server.log"
        for made in ("data", "files", "scratch"):
            (folder / made).mkdir()
        own = ["--no-defaults", f"--datadir={data}", _SMALL_LOG]
        if os.geteuid() == 0:
            own.append("--user=root")  # the server refuses to run as root unless told to
        _install(program, own, scripts)
        command = [
            program,
            *own,
            *_OPTIONS[1:],
            f"--socket={socket}",
            f"--pid-file={folder / 'pid'}",
            f"--tmpdir={folder / 'scratch'}",
            f"--secure-file-priv={folder / 'files'}",
            f"--log-error={log}",
        ]
        watchdog = subprocess.Popen(
            [sys.executable, "-I", str(_WATCHDOG), str(folder), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise OSError(f"the private MariaDB could not be set up: {error}") from error
    server = PrivateServer(folder, watchdog, Address("root", socket=str(socket)))
    limit = time.monotonic() + _START_SECONDS
    while not ready(server.address):
        if watchdog.poll() is not None or time.monotonic() > limit:
            said = log.read_text(errors="replace")[-300:] if log.exists() else ""
            server.close()
            raise OSError(f"the private MariaDB did not start: {said}")
        time.sleep(0.02)
    return server


def _install(program: str, options: list[str], scripts: list[Path]) -> None:
    """Make the system tables, as mariadb-install-db does, which of late needs a program of the client's package. Help
    texts and views of the server's insides are left out: nobody asks for them. Raises OSError."""
    statements = b"CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket = NULL;\n"
    done = subprocess.run(
        [program, *options, "--bootstrap", "--silent-startup"],
        input=statements + b"\n".join(path.read_bytes() for path in scripts),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_START_SECONDS,
    )
    if done.returncode:
        raise OSError(f"no system tables: {' '.join(done.stdout.decode(errors='replace').split())[-300:]}")


def system_tables(program: Path) -> list[Path] | None:
    """The scripts that make a server's system tables, which come with it; None where they are not found."""
    folders = [base / "share" / name for base in (program.parents[1], Path("/usr")) for name in ("mysql", "mariadb")]
    for folder in folders:
        found = [folder / name for name in _SYSTEM_TABLES]
        if all(path.is_file() for path in found):
            return found
    return None


def server_program() -> str | None:
    """MariaDB's server program; Debian keeps it where an ordinary user's path does not lead."""
    return shutil.which("mariadbd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))


def _place() -> str | None:
    """Memory where there is plenty: creating a table waits for the disk several times, whatever the server is told."""
    memory = "/dev/shm"
    if os.access(memory, os.W_OK | os.X_OK) and shutil.disk_usage(memory).free >= _MEMORY:
        return memory
    return "/tmp" if os.path.isdir("/tmp") else None


_lock = threading.Lock()
_shared: dict[int, PrivateServer] = {}


def shared(ready: Callable[[Address], bool]) -> PrivateServer:
    """This process's one private server, started when it is first asked for, and anew when it has died."""
    with _lock:
        server = _shared.get(os.getpid())
        if server is None or server.watchdog.poll() is not None:
            server = _shared[os.getpid()] = start(ready)
            atexit.register(server.close)
        return server
