"""The checkpoint in the package: small, loadable, and with the papers that say how it was made."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import agentx.models
from agentx.pretraining.tokenizer import CHAT_TEMPLATE

SHIPPED = Path(agentx.models.__file__).parent / "tiny"


def test_it_loads_and_fits_its_tokenizer() -> None:
    model = AutoModelForCausalLM.from_pretrained(SHIPPED, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED)
    assert len(tokenizer) == model.config.vocab_size
    assert model.config.max_position_embeddings == tokenizer.model_max_length == 2048
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert tokenizer.chat_template == CHAT_TEMPLATE
    assert all(bool(weight.isfinite().all()) for weight in model.parameters())


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 15_000_000


def test_recipe_and_log_are_there() -> None:
    recipe = json.loads((SHIPPED / "recipe.json").read_text())
    assert {"settings", "data_hash", "versions", "tokens", "parameters", "probes"} <= set(recipe)
    lines = [json.loads(line) for line in (SHIPPED / "training_log.jsonl").read_text().splitlines()]
    places = [(line.get("run", 1), line["step"]) for line in lines]
    assert places == sorted(places)
    assert any("loss" in line for line in lines)
