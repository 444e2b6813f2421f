"""What sweeps have set out to run, kept beside their results, so that a report can name the cells still to be run.

Sweeps write here before anything heavy is imported.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentx.errors import UserError
from agentx.experiments import GROUP, command, keyed
from agentx.tuning.settings import NOT_DECISIVE

if TYPE_CHECKING:
    from agentx.config import Config
    from agentx.reports.collect import Row
    from agentx.reports.tables import Table

PLANS = "sweeps"
"""the plans' folder, under paths.output"""
TITLE = "Still to be run"


def write_plan(jobs: Sequence[Sequence[str]], configs: Sequence[Config]) -> None:
    """Keep the options of a sweep's jobs, of those that evaluate, under their paths.output. The same jobs give the same
    file, whoever starts them. Raises UserError where nothing can be written."""
    outputs: dict[Path, dict[str, list[str]]] = {}
    for job, config in zip(jobs, configs, strict=True):
        if config.job.name in ("experiment", "evaluate"):
            outputs.setdefault(config.paths.output, {})[settings_key(config.resolved)] = list(job)
    for output, cells in outputs.items():
        text = json.dumps(cells, indent=1, ensure_ascii=False)
        path = output / PLANS / f"{_title(cells)[0]}-{hashlib.sha256(text.encode()).hexdigest()[:10]}.json"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(f".{os.getpid()}")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            raise UserError(f"paths.output={output}: cannot write {error.filename} ({error.strerror})") from error


def still_to_run(folder: Path, rows: Sequence[Row]) -> Table | None:
    """The planned cells without a whole result, each with the command that runs it and no other; None where all that
    was planned is there. A file in `folder` that is no plan is passed over."""
    from agentx.reports.tables import Table

    complete = {settings_key(row.config): row for row in rows if row.summary["complete"]}
    begun = {settings_key(row.config): row for row in rows if row.n}
    lines = []
    for path in sorted(folder.glob("*.json")):
        try:
            cells: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
            missing = {key: job for key, job in cells.items() if key not in complete}
            title = " ".join(_title(cells))
            found = [
                [title, f"{row.n} of {row.summary['expected']}" if (row := begun.get(key)) else "–", command(job)]
                for key, job in missing.items()
            ]
        except (OSError, ValueError, AttributeError, TypeError):
            continue
        lines += [[f"{title}, {len(missing)} of {len(cells)} cells", *line] for title, *line in found]
    notes = [f"a sweep that is not to be finished is forgotten by deleting its file in {PLANS}/ of paths.output"]
    return Table(TITLE, ["sweep", "episodes", "command"], lines, notes) if lines else None


def settings_key(config: Mapping[str, Any]) -> str:
    """Of what a cell measures, from its resolved options: equal for the same cell, whatever its devices and loggers."""
    tuned = _section(config, "tuning").get("name", "none") != "none"
    method = _section(config, "method")
    decisive = {
        **{name: config.get(name) for name in ("task", "budget", "planner", "judge")},
        "model": _without(config, "model", ("gated", "licence", "parameters")),
        "method": {
            **method,
            **{name: config[name] for name in ("num_path", "num_branch") if config.get(name) is not None},
        },
        "backend": _section(config, "backend").get("name"),
        "seed": config.get("seed", 0),
        "trials": _section(config, "evaluation").get("trials", 1),
    }
    if tuned:
        decisive |= {
            "tuning": _without(config, "tuning", NOT_DECISIVE),
            "data": config.get("data"),
            "lambda": config.get("lambda"),
        }
    text = json.dumps(decisive, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name)
    return found if isinstance(found, Mapping) else {}


def _without(config: Mapping[str, Any], section: str, left_out: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in _section(config, section).items() if name not in left_out}


def _title(cells: Mapping[str, Sequence[str]]) -> list[str]:
    """The experiment and its scale, or just that it is a sweep."""
    options = keyed(next(iter(cells.values()), []))
    if GROUP not in options:
        return ["sweep"]
    return [options[GROUP].partition("=")[2], *([options["scale"]] if "scale" in options else [])]
