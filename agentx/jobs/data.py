"""`job=data`: look at what a tuning would learn from, before it does."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from rich.console import Console

from agentx.config import Config, load
from agentx.errors import ConfigError
from agentx.jobs import cells
from agentx.jobs.tuning_data import TuningSets, tuning_data
from agentx.tuning.settings import PreviewSettings

log = logging.getLogger(__name__)


def run(config: Config) -> Path:
    """Print the preview and return the JSON file that holds it."""
    if config.model.kind != "local":
        raise ConfigError(
            f"model={config.model.name}: has no tokenizer here to count with; take the model you want to tune"
        )
    from agentx.jobs.preview_text import rendered_example, tables
    from agentx.models.loading import load_renderer, load_tokenizer
    from agentx.reports.tables import print_table
    from agentx.tuning.preview import preview

    options = cast(PreviewSettings, config.job)
    sets = tuning_data(config, both=True)
    conversations = {"agent": sets.agent, "general": sets.general}
    renderer = load_renderer(config.model)
    found = preview(
        conversations,
        sets.skipped,
        renderer,
        config.tuning,
        config.data,
        config.agent_ratio,
        options,
        _statements(config) if options.contamination else None,
    )
    for table in tables(found):
        print()
        print_table(table)
    console = Console()
    tokenizer = load_tokenizer(config.model)
    for side, chosen in conversations.items():
        if not chosen:
            continue
        shown = chosen[min(options.example, len(chosen) - 1)]
        console.print(f"\n{side} example {shown.source}:{shown.id}, trained part {_mark(console)}", markup=False)
        text = rendered_example(shown.messages, renderer, tokenizer, console.color_system is not None)
        console.print(text, soft_wrap=True)
    path = _write(config, sets, found.to_dict())
    print(f"\npreview       {path}")
    return path


def _mark(console: Console) -> str:
    from agentx.jobs.preview_text import MARKS

    return "in green" if console.color_system is not None else f"between {MARKS[0]} and {MARKS[1]}"


def _statements(config: Config) -> Mapping[str, str] | None:
    """What the task's evaluation samples ask; None, with a line that says so, where the task cannot tell."""
    task = load(f"agentx.tasks.{config.task.name}.task:make_task")(config.task, config.paths)
    if not hasattr(task, "statements"):
        log.warning("warning: task=%s does not tell what its samples ask, so contamination is unknown", task.name)
        return None
    told: Mapping[str, str] = task.statements()
    return told


def _write(config: Config, sets: TuningSets, found: dict[str, object]) -> Path:
    """The preview with what it is of; the same configuration writes the same file."""
    described = {
        "model": config.model.name,
        "task": config.task.name,
        "data": cells.plain(config.data),
        "lambda": config.agent_ratio,
        "max_length": config.tuning.max_length,
        "overlong": config.tuning.overlong,
    }
    path = config.paths.output / "data" / f"preview-{config.task.name}-{cells.fingerprint(described)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {**described, **found, "skipped": {side: lines[:100] for side, lines in sets.skipped.items()}}
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
