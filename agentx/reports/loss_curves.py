"""Loss curves of tunings side by side: agent and general data apart, a line per λ."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from agentx.models.loading import ADAPTER_CARD

SIDES = ("agent", "general")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
SMOOTHING = 0.8
"""weight of the mean so far in the thick line; the thin one is every step as it was"""


@dataclass(frozen=True)
class Curve:
    """One tuning's history."""

    label: str
    agent_ratio: float
    steps: list[int]
    losses: dict[str, list[float]]
    """per trained token, for agent and general; NaN in steps that drew none"""


def read_curves(adapters: Iterable[Path]) -> list[Curve]:
    """Of the adapter directories that tell their history, in the order of λ; others are passed over."""
    curves = []
    for directory in adapters:
        try:
            card = json.loads((directory / ADAPTER_CARD).read_text(encoding="utf-8"))
            history = card["history"]
            ratio = float(card["agent_ratio"])
            label = f"{card['model']}, {card['settings']['name']}, λ = {ratio:g}, seed {card['seed']}"
            losses = {side: [float(entry[f"loss_{side}"]) for entry in history] for side in SIDES}
            curves.append(Curve(label, ratio, [int(entry["step"]) for entry in history], losses))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    told = [curve for curve in curves if curve.steps]
    return sorted(told, key=lambda curve: (curve.label.partition(",")[0], curve.agent_ratio))


def draw(curves: Sequence[Curve]) -> Figure:
    """One panel a side. Words that all labels share are left to the title."""
    shared, labels = _labels([curve.label for curve in curves])
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True)
    for axis, side in zip(axes, SIDES, strict=True):
        for number, curve in enumerate(curves):
            colour = COLOURS[number % len(COLOURS)]
            points = [(s, v) for s, v in zip(curve.steps, curve.losses[side], strict=True) if not math.isnan(v)]
            if not points:
                continue
            steps, values = zip(*points, strict=True)
            axis.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
            axis.plot(steps, smoothed(values), color=colour, label=labels[number])
        axis.set_title(f"{side} data")
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize=8)
    axes[0].set_ylabel("loss per trained token")
    if shared:
        figure.suptitle(shared.replace("$", r"\$"))
    return figure


def smoothed(values: Sequence[float]) -> list[float]:
    """Exponential mean, corrected for its start."""
    mean = weight = 0.0
    out = []
    for value in values:
        mean = SMOOTHING * mean + (1 - SMOOTHING) * value
        weight = SMOOTHING * weight + (1 - SMOOTHING)
        out.append(mean / weight)
    return out


def write_loss_curves(adapters: Iterable[Path], directory: Path) -> Path | None:
    """`directory`/loss_curves.png and .svg; None where no adapter tells its history."""
    curves = read_curves(adapters)
    if not curves:
        return None
    directory.mkdir(parents=True, exist_ok=True)
    figure = draw(curves)
    path = directory / "loss_curves.png"
    figure.savefig(path, dpi=150, metadata={"Software": None})
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    return path


def _labels(labels: Sequence[str]) -> tuple[str, list[str]]:
    """What all have in common, and what is left of each."""
    parts = [label.split(", ") for label in labels]
    common = [part for part in parts[0] if all(part in other for other in parts)] if len(parts) > 1 else []
    rest = [", ".join(part for part in each if part not in common) or ", ".join(each) for each in parts]
    return ", ".join(common), [each.replace("$", r"\$") for each in rest]
