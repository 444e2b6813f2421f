"""Cells as logs of Inspect (inspect.aisi.org.uk), one `.eval` file each, for its viewer and its analysis tools.

The format is a ZIP file of JSON: a header, one file per sample, and a summary of all samples. It is written here
directly, so that nothing has to be installed; inspect-ai needs other versions of some packages than this project.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentx.evaluation.store import ResultStore
from agentx.reports.collect import Row
from agentx.results import writable
from agentx.trajectory import ModelCall, Outcome, Purpose, Trajectory
from agentx.trajectory import Path as Attempt

VERSION = 2
"""of Inspect's log format"""
STOP = {"stop": "stop", "length": "max_tokens", "content_filter": "content_filter"}
CORRECT, INCORRECT = "C", "I"
SCORERS = ("success", "reward")


def write_inspect_log(row: Row, directory: Path) -> Path:
    """Write the cell as `<cell>.eval` into `directory`. Trials are Inspect's epochs; the messages are those of the
    path that counts, the events every model call of every path; infrastructure errors are samples with an error."""
    directory.mkdir(parents=True, exist_ok=True)
    store = ResultStore(row.directory)
    created = _time(store.episodes_path if store.episodes_path.exists() else row.directory)
    spec = _spec(row, created)
    path = directory / f"{re.sub(r'[^A-Za-z0-9._-]', '_', row.directory.name)}.eval"
    temporary = path.with_name(f".{path.name}")
    summaries = []
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        _put(archive, "_journal/start.json", {"version": VERSION, "eval": spec, "plan": {}})
        for sample in _samples(store, row, created):
            name = f"samples/{sample['id']}_epoch_{sample['epoch']}.json"
            _put(archive, name, sample)
            summaries.append(_summary(sample))
        _put(archive, "summaries.json", summaries)
        _put(archive, "header.json", _header(row, spec, created))
    temporary.replace(path)
    return path


def _samples(store: ResultStore, row: Row, created: str) -> Iterator[dict[str, Any]]:
    for trajectory, _ in store.stream():
        yield _sample(trajectory, row, created)
    for error in store.infrastructure_errors():
        yield _sample(error, row, created)


def _sample(trajectory: Trajectory, row: Row, created: str) -> dict[str, Any]:
    selected = next((path for path in trajectory.paths if path.index == trajectory.selected), None)
    opening, messages = _messages(trajectory, selected)
    usage = _usage(trajectory.calls)
    sample: dict[str, Any] = {
        # The sample's file is named by it.
        "id": re.sub(r"[/\\\x00-\x1f]", "_", trajectory.sample),
        "epoch": trajectory.trial + 1,
        "input": opening or trajectory.sample,
        "target": "",
        "messages": messages,
        "output": _output(
            row, messages[-1]["content"] if messages and messages[-1]["role"] == "assistant" else "", usage
        ),
        "metadata": {
            **trajectory.metadata,
            "outcome": trajectory.outcome.value,
            "limit": trajectory.limit,
            "paths": len(trajectory.paths),
            "selected": trajectory.selected,
            "steps": sum(len(path.steps) for path in trajectory.paths),
            "subtasks": selected.subtasks if selected else [],
            "notices": trajectory.notices,
        },
        "events": list(_events(trajectory, row, created)),
        "model_usage": {row.model: usage},
        "total_time": trajectory.seconds,
        "working_time": trajectory.seconds,
        "started_at": created,
    }
    if trajectory.outcome is Outcome.INFRASTRUCTURE_ERROR:
        sample["error"] = {"message": trajectory.limit, "traceback": "", "traceback_ansi": ""}
    else:
        explanation = f"{trajectory.outcome.value}, reward {trajectory.reward:g}"
        sample["scores"] = {
            "success": {"value": CORRECT if trajectory.success else INCORRECT, "explanation": explanation},
            "reward": {"value": trajectory.reward, "explanation": explanation},
        }
    if trajectory.outcome is Outcome.BUDGET:
        sample["limit"] = {"type": "custom", "limit": 0}
    return sample


def _messages(trajectory: Trajectory, path: Attempt | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The prompt, and the whole dialogue of the path; of a tree, the steps from the root to the state that counts."""
    if path is None:
        return [], []
    steps, opening, by_index = list(path.steps), path.opening, {p.index: p for p in trajectory.paths}
    while path.parent is not None:
        path = by_index[path.parent]
        steps, opening = [*path.steps, *steps], path.opening
    prompt = [{"role": message["role"], "content": message["content"]} for message in opening]
    messages = list(prompt)
    for step in steps:
        messages.append({"role": "assistant", "content": step.candidate.reply})
        if step.observation:
            messages.append({"role": "user", "content": step.observation})
    return prompt, messages


def _events(trajectory: Trajectory, row: Row, created: str) -> Iterator[dict[str, Any]]:
    """One event per model call, in order. A policy's prompt is the path so far: here its last message stands for it."""
    observations = {(p.index, s.index + 1): s.observation for p in trajectory.paths for s in p.steps}
    openings = {path.index: path.opening for path in trajectory.paths}
    started = 0.0
    for number, call in enumerate(trajectory.calls):
        if call.purpose is Purpose.ACT and (call.path, call.step) in observations:
            asked = [{"role": "user", "content": observations[call.path, call.step]}]
        else:
            asked = [
                {"role": message["role"], "content": message["content"]}
                for message in (call.messages or openings.get(call.path) or [])
            ]
        yield {
            "event": "model",
            "uuid": f"{trajectory.sample}-{trajectory.trial}-{number}",
            "timestamp": created,
            "working_start": started,
            "model": row.model,
            "role": call.role,
            "input": asked,
            "tools": [],
            "tool_choice": "none",
            "config": {"seed": call.seed % 2**53},
            "output": _output(row, call.text, _usage([call]), STOP.get(call.finish_reason, "unknown")),
            "working_time": call.seconds,
            "metadata": {"purpose": call.purpose.value, "path": call.path, "step": call.step, "branch": call.branch},
        }
        started += call.seconds


def _output(row: Row, text: str, usage: dict[str, int], stop: str = "stop") -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "source": "generate", "model": row.model}
    return {
        "model": row.model,
        "choices": [{"message": message, "stop_reason": stop}],
        "usage": usage,
        "completion": text,
    }


def _usage(calls: list[ModelCall]) -> dict[str, int]:
    prompt = sum(call.prompt_tokens for call in calls)
    completion = sum(call.completion_tokens for call in calls)
    cached = sum(call.cached_tokens for call in calls)
    return {
        "input_tokens": prompt - cached,
        "output_tokens": completion,
        "total_tokens": prompt + completion,
        "input_tokens_cache_read": cached,
    }


def _summary(sample: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("id", "epoch", "input", "target", "scores", "model_usage", "started_at", "total_time", "working_time")
    summary = {name: sample[name] for name in kept if name in sample}
    last = sample["input"][-1:] if isinstance(sample["input"], list) else sample["input"]
    facts = sample["metadata"]
    summary |= {
        "input": last,
        "metadata": {name: facts[name] for name in ("outcome", "kind", "steps", "paths") if name in facts},
        "completed": "error" not in sample,
        "message_count": len(sample["messages"]),
    }
    return summary | ({"error": sample["error"]["message"]} if "error" in sample else {})


def _spec(row: Row, created: str) -> dict[str, Any]:
    name = row.directory.name
    digest = hashlib.sha256(name.encode()).hexdigest()
    samples = row.summary["samples"]
    provenance = _provenance(row.directory)
    spec: dict[str, Any] = {
        "eval_id": digest[:22],
        "run_id": digest[22:44],
        "task_id": digest[42:64],
        "created": created,
        "task": row.label,
        "task_args": row.config.get("task") or {},
        "solver": row.method,
        "solver_args": row.config.get("method") or {},
        "dataset": {"name": row.label, "samples": samples},
        "model": row.model,
        "model_args": {"tuning": row.tuning, "data": row.data, "lambda": row.agent_ratio},
        "config": {"epochs": max(1, row.summary["expected"] // max(1, samples))},
        "packages": provenance.get("packages") or {},
        "metadata": {"cell": name, "seed": row.seed, "oracle": row.uses_oracle, "written_by": "agentx"},
        "scorers": [{"name": scorer} for scorer in SCORERS],
    }
    if provenance.get("git_commit"):
        spec["revision"] = {"type": "git", "origin": "", "commit": provenance["git_commit"]}
    return spec


def _header(row: Row, spec: dict[str, Any], created: str) -> dict[str, Any]:
    summary = row.summary
    metrics = {"success": ("accuracy", summary["success_rate"]), "reward": ("mean", summary["reward"])}
    scores = [
        {
            "name": scorer,
            "scorer": scorer,
            "scored_samples": summary["n"],
            "unscored_samples": summary["expected"] - summary["n"],
            "metrics": {
                name: {"name": name, "value": interval["value"]},
                "low": {"name": "low", "value": interval["low"]},
                "high": {"name": "high", "value": interval["high"]},
            },
        }
        for scorer, (name, interval) in metrics.items()
        if interval["value"] is not None
    ]
    total = summary["cost"]["total"]
    usage = {
        "input_tokens": total["prompt_tokens"],
        "output_tokens": total["completion_tokens"],
        "total_tokens": total["tokens"],
    }
    header: dict[str, Any] = {
        "version": VERSION,
        "status": "success" if summary["complete"] else "error",
        "eval": spec,
        "plan": {"name": row.method, "steps": []},
        "results": {"total_samples": summary["expected"], "completed_samples": summary["n"], "scores": scores},
        "stats": {"started_at": created, "completed_at": created, "model_usage": {row.model: usage}},
    }
    if not summary["complete"]:
        lacking = summary["expected"] - summary["n"]
        unplayed = summary["infrastructure_errors"]
        message = f"{lacking} of {summary['expected']} episodes are missing: {unplayed} could not be played"
        header["error"] = {"message": message, "traceback": "", "traceback_ansi": ""}
    return header


def _provenance(cell: Path) -> dict[str, Any]:
    try:
        found = json.loads((cell / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _time(path: Path) -> str:
    """When the file was last written: episodes have no clock time of their own."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")


def _put(archive: zipfile.ZipFile, name: str, value: Any) -> None:
    archive.writestr(writable(name), writable(json.dumps(value, ensure_ascii=False)))
