from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerFast

from agentx.pretraining.recipe import tokenizer_of
from agentx.pretraining.settings import PretrainSettings

SMALL = {
    "tokens": 4000, "batch_tokens": 512, "context_length": 512, "hidden_size": 32, "layers": 2, "heads": 2,
    "intermediate_size": 48, "vocabulary": 700, "tokenizer_documents": 400, "warmup_steps": 5, "threads": 1,
    "device": "cpu",
}  # fmt: skip


@pytest.fixture(scope="session")
def small_settings() -> PretrainSettings:
    return PretrainSettings(**SMALL)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def small_tokenizer(
    tmp_path_factory: pytest.TempPathFactory, small_settings: PretrainSettings
) -> PreTrainedTokenizerFast:
    return tokenizer_of(small_settings, tmp_path_factory.mktemp("tokenizer"))
