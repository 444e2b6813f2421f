from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from agentx.errors import ConfigError
from agentx.pretraining import recipe, training
from agentx.pretraining.corpus import batches
from agentx.pretraining.optimizer import orthogonalized
from agentx.pretraining.plays import Play
from agentx.pretraining.probes import evaluate, general_probes, narration_probes
from agentx.pretraining.recipe import make_model, pretrain
from agentx.pretraining.settings import PretrainSettings
from agentx.pretraining.training import Progress, Training


@pytest.fixture
def output(tmp_path: Path, small_tokenizer: PreTrainedTokenizerFast) -> Path:
    """A run's directory in which the tokenizer lies already."""
    small_tokenizer.save_pretrained(tmp_path / "run" / "tokenizer")
    return tmp_path / "run"


def new_training(settings: PretrainSettings, tokenizer: PreTrainedTokenizerFast, output: Path) -> Training:
    torch.manual_seed(settings.seed)
    output.mkdir(parents=True, exist_ok=True)
    return Training(make_model(settings, tokenizer), settings, output)


def test_a_run_leaves_a_model_others_can_load(
    output: Path, small_settings: PretrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "LOG_STEPS", 4)
    record = pretrain(replace(small_settings, tokens=12_000, export=str(tmp_path / "shipped")), output)
    assert record["tokens"] >= small_settings.tokens
    assert (output / "training.png").read_bytes().startswith(b"\x89PNG")
    for directory in (output / "model", tmp_path / "shipped"):
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(directory)
        assert model.config.model_type == "llama" and not model.config.tie_word_embeddings
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": "Say mug 1."}], add_generation_prompt=True, return_tensors="pt"
        )
        reply = model.generate(**ids, max_new_tokens=4, do_sample=False)
        assert reply.shape[1] > ids["input_ids"].shape[1]
        assert model.generation_config.eos_token_id == tokenizer.eos_token_id
        written = json.loads((directory / "recipe.json").read_text())
        assert written["settings"]["seed"] == small_settings.seed and len(written["data_hash"]) == 32
        lines = [json.loads(line) for line in (directory / "training_log.jsonl").read_text().splitlines()]
        losses = [line["loss"] for line in lines if "loss" in line]
        assert losses and losses[-1] < losses[0]


def test_resuming_is_exact_to_the_bit(
    tmp_path: Path, small_settings: PretrainSettings, small_tokenizer: PreTrainedTokenizerFast, plays: list[Play]
) -> None:
    def text(skip: int = 0) -> Iterator:  # type: ignore[type-arg]
        return batches(small_settings, small_tokenizer, plays, skip=skip)

    straight = new_training(small_settings, small_tokenizer, tmp_path / "a")
    for batch in islice(text(), 20):
        straight.step(batch)

    first = new_training(small_settings, small_tokenizer, tmp_path / "b")
    for batch in islice(text(), 9):
        first.step(batch)
    first.save()
    for batch in islice(text(9), 3):
        first.step(batch)  # lost by the kill
    second = new_training(replace(small_settings, seed=small_settings.seed), small_tokenizer, tmp_path / "b")
    assert second.resume()
    assert second.progress.step == 9
    for batch in islice(text(second.progress.step), 11):
        second.step(batch)

    for name, weight in straight.model.state_dict().items():
        assert torch.equal(weight, second.model.state_dict()[name]), name
    for name, weight in straight.average.weights.items():
        assert torch.equal(weight, second.average.weights[name]), name


def test_a_run_with_other_settings_is_not_continued(
    tmp_path: Path, small_settings: PretrainSettings, small_tokenizer: PreTrainedTokenizerFast
) -> None:
    new_training(small_settings, small_tokenizer, tmp_path).save()
    other = new_training(replace(small_settings, learning_rate=0.5), small_tokenizer, tmp_path)
    with pytest.raises(ConfigError, match=r"job\.learning_rate=0\.5.*begun with 0\.002"):
        other.resume()
    assert new_training(replace(small_settings, tokens=10**6), small_tokenizer, tmp_path).resume()


def test_log_lines_of_lost_steps_are_dropped(
    tmp_path: Path, small_settings: PretrainSettings, small_tokenizer: PreTrainedTokenizerFast
) -> None:
    run = new_training(small_settings, small_tokenizer, tmp_path)
    run.progress.step = 5
    run.save()
    for step in (4, 5, 6):
        run.write_log({"step": step})
    again = new_training(small_settings, small_tokenizer, tmp_path)
    again.resume()
    assert [json.loads(line)["step"] for line in again.log_path.read_text().splitlines()] == [4, 5]


def test_a_stop_file_ends_the_run_with_a_fallen_rate(
    output: Path, small_settings: PretrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "LOG_STEPS", 2)
    monkeypatch.setattr(recipe, "narration_probes", lambda tokenizer, count: narration_probes(tokenizer, 2))
    monkeypatch.setattr(recipe, "general_probes", lambda tokenizer, count: general_probes(tokenizer, 2))
    (output / "stop").write_text("0.01\n")
    record = pretrain(replace(small_settings, tokens=10**9), output)
    assert 2 <= record["step"] < 10**4


def test_schedule() -> None:
    settings = PretrainSettings(tokens=1000, warmup_steps=10, decay=0.2)
    assert Progress(step=0).rate(settings) == pytest.approx(0.1)
    assert Progress(step=50, tokens=500).rate(settings) == 1
    assert Progress(step=50, tokens=900).rate(settings) == pytest.approx(0.5)
    assert Progress(step=50, tokens=1000).finished(settings)
    timed = PretrainSettings(tokens=1000, minutes=10, decay=0.5)
    assert Progress(step=999, tokens=1, seconds=450).rate(timed) == pytest.approx(0.5)
    assert Progress(seconds=600).finished(timed)
    stopped = Progress(step=999, tokens=1, seconds=100)
    stopped.stop(timed, minutes=1)
    assert stopped.rate(timed) == pytest.approx(1)
    stopped.seconds = 130
    assert stopped.rate(timed) == pytest.approx(0.5)
    stopped.seconds = 160
    assert stopped.finished(timed)


def test_muon_steps_are_nearly_orthogonal() -> None:
    torch.manual_seed(0)
    for shape in ((3, 16, 40), (2, 40, 16), (1, 24, 24)):
        values = torch.linalg.svdvals(orthogonalized(torch.randn(shape), 5))
        assert values.min() > 0.3 and values.max() < 1.4


def test_probes_agree_with_greedy_decoding(
    small_settings: PretrainSettings, small_tokenizer: PreTrainedTokenizerFast
) -> None:
    """On a model that has learnt two answers by heart, `exact` counts just what generation writes."""
    torch.manual_seed(0)
    model = make_model(small_settings, small_tokenizer)
    probes = general_probes(small_tokenizer, 6)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(150):
        for probe in probes[:2]:
            ids = torch.tensor([probe.ids])
            model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    right = total = 0
    for probe in probes:
        for _, start, end in probe.spans:
            prompt = torch.tensor([probe.ids[:start]])
            mask = torch.ones_like(prompt)
            written = model.generate(prompt, attention_mask=mask, max_new_tokens=end - start, do_sample=False)
            right += written[0, start:].tolist() == probe.ids[start:end]
            total += 1
    measured = evaluate(model, probes, small_tokenizer.pad_token_id)["exact/general"]
    assert measured == pytest.approx(right / total)
    assert 0 < measured < 1


def test_a_run_goes_on_from_a_model(
    output: Path, small_settings: PretrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "LOG_STEPS", 2)
    monkeypatch.setattr(recipe, "narration_probes", lambda tokenizer, count: narration_probes(tokenizer, 2))
    monkeypatch.setattr(recipe, "general_probes", lambda tokenizer, count: general_probes(tokenizer, 2))
    first = pretrain(small_settings, output)
    start = str(output / "model")
    later = replace(small_settings, start=start, seed=2)
    model = make_model(later, AutoTokenizer.from_pretrained(start))
    saved = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32).state_dict()
    assert all(torch.equal(weight, saved[name]) for name, weight in model.state_dict().items())
    second = pretrain(later, tmp_path / "second")
    assert second["started_from"]["data_hash"] == first["data_hash"] != second["data_hash"]
    lines = [json.loads(line) for line in (tmp_path / "second/model/training_log.jsonl").read_text().splitlines()]
    runs = [line["run"] for line in lines]
    assert set(runs) == {1, 2} and runs == sorted(runs)
    with pytest.raises(ConfigError, match=r"job\.start=.*its hidden_size is 32, the settings ask for 64"):
        make_model(replace(later, hidden_size=64), AutoTokenizer.from_pretrained(start))
    with pytest.raises(ConfigError, match=r"job\.start=.*cannot be read"):
        pretrain(replace(later, start=str(tmp_path)), tmp_path / "third")
