"""A picture of a pretraining: loss and what the checkpoints could do, over the tokens of all its runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

PROBES = {"exact/general": "general answers", "exact/play": "expert's turns"}


def write_curves(log: Path, picture: Path) -> None:
    """Draw the training log of a run, and of those that it went on from, as PNG."""
    figure = draw([json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()])
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=150, metadata={"Software": None})


def draw(entries: list[dict[str, Any]]) -> Figure:
    """Each run's tokens follow those of the run before; a line marks where one begins."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    loss, probes = figure.subplots(1, 2, sharex=True)
    starts = _starts(entries)
    placed = [((starts[entry.get("run", 1)] + entry["tokens"]) / 1e6, entry) for entry in entries]
    losses = [(millions, entry["loss"]) for millions, entry in placed if "loss" in entry]
    loss.plot(*zip(*losses, strict=True), color="#0072b2", linewidth=1)
    loss.set_title("loss per token of the training text")
    loss.set_yscale("log")
    loss.yaxis.set_major_formatter("{x:g}")
    loss.yaxis.set_minor_formatter("{x:.1g}")
    for (name, label), colour in zip(PROBES.items(), ("#d55e00", "#009e73"), strict=True):
        found = [
            (millions, 100 * entry["probes"][name]) for millions, entry in placed if name in entry.get("probes", {})
        ]
        if found:
            probes.plot(*zip(*found, strict=True), color=colour, marker=".", label=label)
    probes.set_title("held-out turns that come out whole, %")
    probes.set_ylim(0, 100)
    if probes.lines:
        probes.legend(fontsize=8)
    for axis in (loss, probes):
        axis.set_xlabel("million tokens")
        axis.grid(alpha=0.3)
        for start in list(starts.values())[1:]:
            axis.axvline(start / 1e6, color="grey", linestyle=":", linewidth=1)
    return figure


def _starts(entries: list[dict[str, Any]]) -> dict[int, int]:
    """By run, the tokens of all runs before it."""
    last: dict[int, int] = {}
    for entry in entries:
        run = entry.get("run", 1)
        last[run] = max(last.get(run, 0), entry["tokens"])
    starts, total = {}, 0
    for run in sorted(last):
        starts[run] = total
        total += last[run]
    return starts
