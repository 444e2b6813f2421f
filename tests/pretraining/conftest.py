from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerFast

from agentx.pretraining.plays import Play
from agentx.pretraining.recipe import tokenizer_of
from agentx.pretraining.settings import PretrainSettings

SMALL = {
    "tokens": 4000, "batch_tokens": 512, "context_length": 512, "hidden_size": 32, "layers": 2, "heads": 4,
    "copying_heads": False, "intermediate_size": 48, "vocabulary": 700, "tokenizer_documents": 400,
    "plays_recorded": 3, "contamination_documents": 0, "warmup_steps": 5, "threads": 1, "device": "cpu",
}  # fmt: skip


@pytest.fixture(scope="session")
def small_settings() -> PretrainSettings:
    return PretrainSettings(**SMALL)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def plays() -> list[Play]:
    """Two short plays made by hand: recording real ones needs the tasks' engines."""
    return [
        Play("database", (("Which shelf?", "I look it up.", "SELECT shelf FROM books"),), "south"),
        Play("webshop", (("Search", "", "search[lamp]"), ("Page 1", "It fits.", "click[buy now]")), "bought"),
    ]


@pytest.fixture(scope="session")
def small_tokenizer(
    tmp_path_factory: pytest.TempPathFactory, small_settings: PretrainSettings, plays: list[Play]
) -> PreTrainedTokenizerFast:
    return tokenizer_of(small_settings, tmp_path_factory.mktemp("tokenizer"), plays)
