from __future__ import annotations

from typing import Any

import pytest

from agentx.errors import ConfigError
from agentx.pretraining.settings import PretrainSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tokens", 0), ("minutes", 0), ("minutes", -1), ("learning_rate", 0), ("embedding_rate", 0), ("decay", 1.5),
        ("narration", 0.95), ("heads", 7), ("batch_tokens", 100), ("vocabulary", 10), ("threads", 0),
        ("device", "tpu"), ("warmup_steps", -1), ("checkpoint_minutes", 0),
    ],
)  # fmt: skip
def test_a_bad_value_names_the_option(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"job\.{name}"):
        PretrainSettings(**{name: value})


def test_defaults_are_valid() -> None:
    PretrainSettings()
