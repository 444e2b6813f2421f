"""`job=export`: what was run, as Parquet files and as Inspect logs."""

from __future__ import annotations

import logging
from pathlib import Path

from agentx.config import Config
from agentx.errors import UserError

log = logging.getLogger(__name__)


def run(config: Config) -> Path:
    """Write the formats that `job.formats` names; returns the directory they are in."""
    from agentx.reports.collect import collect

    rows = collect(config.paths.output / "cells")
    if not rows:
        raise UserError(f"paths.output={config.paths.output}: holds no evaluated cell to export")
    directory = config.job.directory or config.paths.output / "export"
    if "parquet" in config.job.formats:
        from agentx.export.parquet import write_parquet

        episodes, calls = write_parquet(rows, directory)
        log.info("parquet  %s (one row per episode), %s (one row per model call)", episodes, calls.name)
    if "inspect" in config.job.formats:
        from agentx.export.inspect_log import write_inspect_log

        for row in rows:
            write_inspect_log(row, directory / "inspect")
        log.info(
            "inspect  %s: %d logs; `inspect view --log-dir %s` shows them",
            directory / "inspect",
            len(rows),
            directory / "inspect",
        )
    return Path(directory)
