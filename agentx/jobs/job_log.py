"""The log and, after a failure, the traceback of a job in the cell it works on.

Until the job knows its cell the lines wait. A job that fails before leaves them in a folder named by its configuration,
which goes away when the same configuration comes further.
"""

from __future__ import annotations

import json
import logging
import shutil
import traceback
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType

from omegaconf import OmegaConf

from agentx.config import Config
from agentx.jobs import cells
from agentx.jobs.claims import ClaimedElsewhere, ClaimLost

LOG = "run.log"
TRACEBACK = "traceback.txt"
LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
JOBS_WITH_CELLS = ("experiment", "evaluate", "tune")

_running: ContextVar[JobLog | None] = ContextVar("_running", default=None)


def follow(directory: Path) -> None:
    """Say that the running job works on the cell in `directory`."""
    log = _running.get()
    if log is not None:
        log.follow(directory)


class JobLog(logging.Handler):
    """Context of one job. Afterwards `cell` is where its log is, None where it has none."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(LINE))
        self.config = config
        self.cell: Path | None = None
        self.was_finished = False
        """everything was there already when the job found its cell"""
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        if self.cell is None:
            self._lines.append(line)
        else:
            self._write([line])

    def follow(self, directory: Path) -> None:
        self.was_finished = is_finished(directory)
        self.cell = directory
        self._write(self._lines)
        self._lines = []
        nameless = self._nameless()
        if nameless is not None:
            shutil.rmtree(nameless, ignore_errors=True)

    def __enter__(self) -> JobLog:
        logging.getLogger().addHandler(self)
        self._token = _running.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger().removeHandler(self)
        _running.reset(self._token)
        try:
            self._conclude(error)
        except OSError as problem:  # a full disk must not hide what went wrong before it
            logging.getLogger(__name__).warning("the job's log could not be kept: %s", problem)

    def _conclude(self, error: BaseException | None) -> None:
        if isinstance(error, ClaimedElsewhere | ClaimLost):
            return
        if isinstance(error, Exception):
            if self.cell is None:
                self._open_nameless()
            if self.cell is not None:
                line = f"failed: {type(error).__name__}: {error}"
                self.emit(logging.LogRecord(__name__, logging.ERROR, __file__, 0, line, None, None))
                text = "".join(traceback.format_exception(error))
                (self.cell / TRACEBACK).write_text(text, encoding="utf-8", errors="backslashreplace")
        elif error is None and self.cell is not None:
            (self.cell / TRACEBACK).unlink(missing_ok=True)

    def _open_nameless(self) -> None:
        nameless = self._nameless()
        if nameless is None:
            return
        nameless.mkdir(parents=True, exist_ok=True)
        resolved = OmegaConf.create(self.config.resolved)
        (nameless / "config.yaml").write_text(OmegaConf.to_yaml(resolved, sort_keys=False), encoding="utf-8")
        self.cell = nameless
        self._write(self._lines)

    def _nameless(self) -> Path | None:
        """Where a job leaves its log that failed before its cell was known."""
        config = self.config
        if config.job.name not in JOBS_WITH_CELLS:
            return None
        decisive = {name: value for name, value in config.resolved.items() if name not in ("logger", "paths", "sweep")}
        name = f"failed-{config.task.name}-{config.model.name}-{config.method.name}-{cells.fingerprint(decisive)}"
        return config.paths.output / "cells" / name

    def _write(self, lines: list[str]) -> None:
        if lines and self.cell is not None and self.cell.is_dir():
            with (self.cell / LOG).open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.writelines(f"{line}\n" for line in lines)


def is_finished(directory: Path) -> bool:
    """Whether a cell has all its episodes, or an adapter's folder its adapter."""
    if (directory / "adapter").is_dir():
        return True
    try:
        summary = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
        return bool(summary["complete"])
    except (OSError, ValueError, KeyError):
        return False
