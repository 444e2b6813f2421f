"""Results as pandas frames, for notebooks and for export. Imports neither torch nor a model library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentx.errors import UserError
from agentx.evaluation.store import ResultStore
from agentx.reports.collect import Row, collect
from agentx.reports.facts import EpisodeFacts
from agentx.reports.tables import raw_record
from agentx.trajectory import Trajectory

if TYPE_CHECKING:
    import pandas as pd

TEXT, WHOLE, REAL, FLAG = "string", "Int64", "Float64", "boolean"
"""pandas' types that know missing values"""

CELL_COLUMNS = {
    "cell": TEXT,
    "task": TEXT,
    "model": TEXT,
    "tuning": TEXT,
    "data": TEXT,
    "lambda": REAL,
    "method": TEXT,
    "num_path": WHOLE,
    "num_branch": WHOLE,
    "seed": WHOLE,
    "oracle": FLAG,
}
"""what every frame begins with: which cell the line is of. `lambda` is missing for a model evaluated as it is."""

SUMMARY_COLUMNS = {"n": WHOLE, "expected": WHOLE, "infrastructure_errors": WHOLE, "priced": TEXT, "currency": TEXT}
"""of a cell's summary; its other columns are real numbers"""

EPISODE_COLUMNS = {
    "sample": TEXT,
    "trial": WHOLE,
    "kind": TEXT,
    "outcome": TEXT,
    "limit": TEXT,
    "success": FLAG,
    "reward": REAL,
    "paths": WHOLE,
    "selected": WHOLE,
    "steps": WHOLE,
    "calls": WHOLE,
    "prompt_tokens": WHOLE,
    "completion_tokens": WHOLE,
    "seconds": REAL,
    "format_error": WHOLE,
    "invalid_action": WHOLE,
    "hallucinated_object": WHOLE,
    "loop": WHOLE,
}
"""one line per episode; `success`, `reward` are missing for an infrastructure error, which was not scored; steps and
failures count over all paths; `limit` is the budget that ran out or the infrastructure error's message"""

CALL_COLUMNS = {
    "sample": TEXT,
    "trial": WHOLE,
    "path": WHOLE,
    "step": WHOLE,
    "branch": WHOLE,
    "role": TEXT,
    "purpose": TEXT,
    "seed": "UInt64",
    "prompt_tokens": WHOLE,
    "cached_tokens": WHOLE,
    "completion_tokens": WHOLE,
    "seconds": REAL,
    "finish_reason": TEXT,
    "text": TEXT,
}
"""one line per model call; `text` is the reply"""

STEP_COLUMNS = {
    "sample": TEXT,
    "trial": WHOLE,
    "path": WHOLE,
    "step": WHOLE,
    "selected": FLAG,
    "subtask": WHOLE,
    "subtask_done": FLAG,
    "thought": TEXT,
    "action": TEXT,
    "executed": TEXT,
    "verdict": TEXT,
    "reward": REAL,
    "done": FLAG,
    "candidates": WHOLE,
    "observation": TEXT,
}
"""one line per environment step of every path; `selected`: the step is on the path that counts"""


@dataclass(frozen=True)
class Results:
    """What was run, as four frames that share the column `cell` (and `sample`, `trial`)."""

    cells: pd.DataFrame
    """one line per cell: what it is, n, success and reward with intervals, failure rates, costs; shares from 0 to 1"""
    episodes: pd.DataFrame
    """see EPISODE_COLUMNS"""
    calls: pd.DataFrame
    """see CALL_COLUMNS"""
    steps: pd.DataFrame
    """see STEP_COLUMNS"""


def load_results(path: str | Path = "outputs") -> Results:
    """Everything evaluated below `path`, a cell's directory or any above it.

    Raises UserError where there is no such directory or nothing in it.
    """
    rows = collect(path)
    if not rows:
        raise UserError(f"{path}: holds no evaluated cell; run an experiment first, or name its paths.output")
    episodes: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    steps: list[dict[str, Any]] = []
    for row in rows:
        cell = cell_record(row)
        store = ResultStore(row.directory)
        for trajectory, _ in store.stream():
            episodes.append({**cell, **episode_record(trajectory)})
            calls += [{**cell, **record} for record in call_records(trajectory)]
            steps += [{**cell, **record} for record in step_records(trajectory)]
        episodes += [{**cell, **episode_record(error, scored=False)} for error in store.infrastructure_errors()]
    return Results(
        _cells_frame(rows),
        frame(episodes, EPISODE_COLUMNS),
        frame(calls, CALL_COLUMNS),
        frame(steps, STEP_COLUMNS),
    )


def frame(records: list[dict[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    """Typed columns, the cell's first, also where there is no record."""
    import pandas as pd

    types = {**CELL_COLUMNS, **columns}
    return pd.DataFrame({name: pd.array([r[name] for r in records], dtype=kind) for name, kind in types.items()})


def cell_record(row: Row) -> dict[str, Any]:
    return {name: writable(value) if isinstance(value, str) else value for name, value in row.record.items()}


def episode_record(trajectory: Trajectory, scored: bool = True) -> dict[str, Any]:
    facts = EpisodeFacts.of(trajectory)
    return {
        "sample": writable(facts.sample),
        "trial": facts.trial,
        "kind": writable(facts.kind),
        "outcome": facts.outcome,
        "limit": writable(facts.limit),
        "success": facts.success if scored else None,
        "reward": facts.reward if scored else None,
        "paths": facts.attempts,
        "selected": facts.selected if scored else None,
        "steps": facts.steps,
        "calls": facts.calls,
        "prompt_tokens": facts.prompt_tokens,
        "completion_tokens": facts.completion_tokens,
        "seconds": facts.seconds,
        **facts.failures,
    }


def call_records(trajectory: Trajectory) -> Iterator[dict[str, Any]]:
    for call in trajectory.calls:
        yield {
            "sample": writable(trajectory.sample),
            "trial": trajectory.trial,
            "path": call.path,
            "step": call.step,
            "branch": call.branch,
            "role": call.role,
            "purpose": call.purpose.value,
            "seed": call.seed,
            "prompt_tokens": call.prompt_tokens,
            "cached_tokens": call.cached_tokens,
            "completion_tokens": call.completion_tokens,
            "seconds": call.seconds,
            "finish_reason": call.finish_reason,
            "text": writable(call.text),
        }


def step_records(trajectory: Trajectory) -> Iterator[dict[str, Any]]:
    for path in trajectory.paths:
        for step in path.steps:
            yield {
                "sample": writable(trajectory.sample),
                "trial": trajectory.trial,
                "path": path.index,
                "step": step.index,
                "selected": path.index == trajectory.selected,
                "subtask": step.subtask,
                "subtask_done": step.subtask_done,
                "thought": writable(step.candidate.thought),
                "action": None if step.candidate.action is None else writable(step.candidate.action),
                "executed": writable(step.executed),
                "verdict": step.verdict.value,
                "reward": step.reward,
                "done": step.done,
                "candidates": len(step.candidates),
                "observation": writable(step.observation),
            }


def writable(text: str) -> str:
    """Lone surrogates, which a model may write and no file takes, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _cells_frame(rows: list[Row]) -> pd.DataFrame:
    import pandas as pd

    records = [{**raw_record(row), **cell_record(row)} for row in rows]
    names = list(dict.fromkeys([*CELL_COLUMNS, *(name for record in records for name in record)]))
    columns = {}
    for name in names:
        values = [record.get(name) for record in records]
        kind = CELL_COLUMNS.get(name) or SUMMARY_COLUMNS.get(name, REAL)
        columns[name] = pd.array(values, dtype=kind)
    return pd.DataFrame(columns)
