"""`job=pretrain`: train the embedded model `tiny` from scratch, on text generated here."""

from __future__ import annotations

from pathlib import Path

from agentx.config import Config


def run(config: Config) -> Path:
    """Returns the directory of the finished checkpoint; an interrupted run goes on where it stopped."""
    from agentx.pretraining.recipe import pretrain

    output = config.paths.output / "pretrain"
    pretrain(config.job, output)
    return output / "model"
