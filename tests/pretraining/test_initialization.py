from __future__ import annotations

from dataclasses import replace

import torch
from transformers import PreTrainedTokenizerFast

from agentx.pretraining.recipe import make_model
from agentx.pretraining.settings import PretrainSettings


def repeated_share(model: torch.nn.Module, vocabulary: int) -> float:
    """Of the tokens of a random sequence's repetition, the share that the model predicts."""
    tokens = torch.randint(6, vocabulary, (8, 30), generator=torch.Generator().manual_seed(5))
    twice = torch.cat([tokens, tokens], dim=1)
    with torch.no_grad():
        likeliest = model(input_ids=twice).logits.argmax(-1)
    return float((likeliest[:, 30:-1] == twice[:, 31:]).float().mean())


def test_copying_heads_repeat_tokens_before_any_training(small_tokenizer: PreTrainedTokenizerFast) -> None:
    torch.manual_seed(0)
    settings = PretrainSettings(context_length=512)
    assert repeated_share(make_model(settings, small_tokenizer), len(small_tokenizer)) > 0.4
    plain = make_model(replace(settings, copying_heads=False), small_tokenizer)
    assert repeated_share(plain, len(small_tokenizer)) < 0.05


def test_the_same_seed_makes_the_same_weights(small_tokenizer: PreTrainedTokenizerFast) -> None:
    weights = []
    for _ in range(2):
        torch.manual_seed(3)
        weights.append(make_model(PretrainSettings(), small_tokenizer).state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
