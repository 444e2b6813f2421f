"""Loss curves of several tunings in one figure."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from agentx.reports.loss_curves import draw, read_curves, smoothed, write_loss_curves


def adapter(folder: Path, ratio: float, steps: int = 5) -> Path:
    folder.mkdir(parents=True)
    history = [
        {"step": s, "loss": 1.0, "loss_agent": 2.0 / s if ratio else math.nan, "loss_general": 1.0 / s}
        for s in range(1, steps + 1)
    ]
    card = {"model": "tiny", "settings": {"name": "lora"}, "agent_ratio": ratio, "seed": 0, "history": history}
    (folder / "agentx.json").write_text(json.dumps(card))
    return folder


def test_a_line_per_lambda_and_a_panel_per_side(tmp_path: Path) -> None:
    folders = [adapter(tmp_path / str(ratio), ratio) for ratio in (0.5, 0.0, 0.1)]
    curves = read_curves([*folders, tmp_path / "missing"])
    assert [curve.agent_ratio for curve in curves] == [0.0, 0.1, 0.5]
    figure = draw(curves)
    agent, general = figure.axes
    legends = [[text.get_text() for text in axis.get_legend().get_texts()] for axis in (agent, general)]
    assert legends == [["λ = 0.1", "λ = 0.5"], ["λ = 0", "λ = 0.1", "λ = 0.5"]]
    assert figure.get_suptitle() == "tiny, lora, seed 0"
    assert list(general.lines[0].get_ydata()) == [1 / s for s in range(1, 6)]


def test_the_files_are_written_or_nothing_is(tmp_path: Path) -> None:
    assert write_loss_curves([tmp_path], tmp_path / "report") is None and not (tmp_path / "report").exists()
    path = write_loss_curves([adapter(tmp_path / "a", 0.3)], tmp_path / "report")
    assert path is not None and path.read_bytes()[:4] == b"\x89PNG" and path.with_suffix(".svg").is_file()


def test_smoothing_starts_at_the_first_value_and_keeps_constants() -> None:
    assert smoothed([3.0, 3.0, 3.0]) == pytest.approx([3.0, 3.0, 3.0])
    rising = smoothed([0.0, 1.0, 1.0])
    assert rising[0] == 0 < rising[1] < rising[2] < 1
