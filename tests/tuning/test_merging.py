"""Merging: a plain model that says what adapter and base said; the adapter's card in the Hub's form."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from agentx.conversation import Conversation, Message
from agentx.errors import UserError
from agentx.models.loading import load_renderer
from agentx.models.settings import ModelSettings
from agentx.tuning.merging import merge
from agentx.tuning.model_card import add_score, write_readme
from agentx.tuning.run import AdapterResult, tune
from agentx.tuning.settings import LoggerSettings, TrainerSettings, TuningSettings

STRONG = TuningSettings(
    rank=4, alpha=16, dropout=0.0, learning_rate=2e-2, warmup_ratio=0.0, steps=6, batch_size=8, tokens_per_pass=600,
    max_length=256, checkpoint_every=0,
)  # fmt: skip
PROMPTS = [list(range(6 + start, 30 + start)) for start in range(4)]


def tuned(
    model: ModelSettings, output: Path, agent: list[Conversation], general: list[Conversation], settings: TuningSettings
) -> AdapterResult:
    return tune(
        model, settings, TrainerSettings(), LoggerSettings(name="none"), agent=agent, general=general,
        agent_ratio=0.5, seed=3, output=output, progress=lambda *_: None,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["lora", "qlora"])
def test_the_merged_model_says_what_was_tuned(
    name: str,
    model: ModelSettings,
    tmp_path: Path,
    agent: list[Conversation],
    general: list[Conversation],
    capfd: pytest.CaptureFixture[str],
) -> None:
    if name == "qlora":
        pytest.importorskip("bitsandbytes")
    result = tuned(model, tmp_path, agent, general, replace(STRONG, name=name))  # type: ignore[arg-type]
    capfd.readouterr()
    agreement = merge(model, result.path, tmp_path / "merged", PROMPTS)
    assert "%|" not in capfd.readouterr().err  # a library's progress bar
    assert agreement.prompts == 4 == agreement.same_replies
    assert agreement.relative_difference < (1e-5 if name == "lora" else 2e-2)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    base = AutoModelForCausalLM.from_pretrained(model.source)
    ids = torch.tensor(PROMPTS[:1])
    assert not torch.allclose(merged(input_ids=ids).logits, base(input_ids=ids).logits, atol=1e-2)
    record = json.loads((tmp_path / "merged" / "agentx.json").read_text())
    assert record["kind"] == "model" and record["merged"]["same_replies"] == 4
    if name == "qlora":
        # The originals are not what it was tuned on: quantisation has changed every linear weight.
        weight = "model.layers.0.self_attn.q_proj.weight"
        assert not torch.allclose(merged.state_dict()[weight], base.state_dict()[weight], atol=1e-3)


def test_the_merged_model_carries_its_template_and_refuses_another(
    model: ModelSettings, tmp_path: Path, agent: list[Conversation], general: list[Conversation]
) -> None:
    result = tuned(model, tmp_path, agent, general, replace(STRONG, steps=1))
    merge(model, result.path, tmp_path / "merged", PROMPTS[:1], "bfloat16")
    assert next(AutoModelForCausalLM.from_pretrained(tmp_path / "merged").parameters()).dtype == torch.bfloat16
    renderer = load_renderer(model)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    turns = [{"role": "user", "content": "Hi"}]
    written = tokenizer.apply_chat_template(turns, add_generation_prompt=True)
    assert list(getattr(written, "input_ids", written)) == renderer.prompt([Message("user", "Hi")])
    served = replace(model, source=str(tmp_path / "merged"))
    assert load_renderer(served).sha256 == renderer.sha256
    with pytest.raises(UserError, match=r"merged: was tuned with chat template 'tiny'"):
        load_renderer(replace(served, system_prompt="Be brief."))
    with pytest.raises(UserError, match=r"is a whole model already"):
        merge(model, tmp_path / "merged", tmp_path / "again", PROMPTS[:1])


def test_an_adapter_of_other_weights_is_refused(
    model: ModelSettings, tmp_path: Path, agent: list[Conversation], general: list[Conversation]
) -> None:
    result = tuned(model, tmp_path, agent, general, replace(STRONG, steps=1))
    card = json.loads((result.path / "agentx.json").read_text())
    (result.path / "agentx.json").write_text(json.dumps({**card, "weights": "0" * 64}))
    with pytest.raises(UserError, match=r"was tuned on other weights than model=small has"):
        merge(model, result.path, tmp_path / "merged", PROMPTS[:1])
    assert not (tmp_path / "merged").exists()


def test_the_card_tells_data_mix_settings_and_scores(
    model: ModelSettings, tmp_path: Path, agent: list[Conversation], general: list[Conversation]
) -> None:
    from huggingface_hub import ModelCard

    hostile = [replace(c, source="a|b<script>`x`\n## no") for c in agent]
    result = tuned(model, tmp_path, hostile, general, replace(STRONG, steps=2))
    card = ModelCard.load(result.path / "README.md")
    assert card.data.library_name == "peft" and card.data.pipeline_tag == "text-generation"
    text = card.text
    assert "λ = 0.5 (sampling); realised share of agent data:" in text and "| general | questions (30) | 30 |" in text
    assert "| rank | 4 |" in text and "2 steps, loss" in text and "peft" in text
    assert "a\\|b&lt;script>'x' ## no (40)" in text and "## Scores" not in text
    score = {
        "label": "household (generated)", "method": "react", "n": 24,
        "success_rate": {"low": 0.1, "value": 0.25, "high": 0.5}, "reward": 0.25,
    }  # fmt: skip
    add_score(result.path, "cell-1", score)
    add_score(result.path, "cell-1", {**score, "n": 25})
    write_readme(result.path)
    lines = [line for line in (result.path / "README.md").read_text().splitlines() if "household" in line]
    assert lines == ["| household (generated) | react | 25 | 25.0 [10.0, 50.0] | 25.0 |"]
