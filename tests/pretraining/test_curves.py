from __future__ import annotations

from typing import Any

from agentx.pretraining.curves import draw


def test_the_tokens_of_a_later_run_follow_those_of_the_earlier_ones() -> None:
    def probes(value: float) -> dict[str, Any]:
        return {"loss": 0.1, "exact/general": value, "exact/general/copy_one": 1.0}

    entries = [
        {"run": 1, "step": 10, "tokens": 1_000_000, "loss": 4.0},
        {"run": 1, "step": 20, "tokens": 2_000_000, "loss": 2.0},
        {"run": 1, "step": 20, "tokens": 2_000_000, "probes": probes(0.25)},
        {"run": 2, "step": 10, "tokens": 500_000, "loss": 3.0},
        {"run": 2, "step": 12, "tokens": 600_000, "probes": probes(0.5)},
    ]
    loss, shares = draw(entries).axes
    assert loss.lines[0].get_xydata().tolist() == [[1, 4], [2, 2], [2.5, 3]]
    assert shares.lines[0].get_xydata().tolist() == [[2, 25], [2.6, 50]]
    assert [line.get_xdata()[0] for line in (loss.lines[1], shares.lines[1])] == [2, 2]  # where the second run begins


def test_a_log_of_one_run_without_probes_is_drawn() -> None:
    loss, shares = draw([{"step": 1, "tokens": 10, "loss": 1.0}]).axes
    assert len(loss.lines) == 1 and not shares.lines
