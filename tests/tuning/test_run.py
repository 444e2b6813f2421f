"""A whole tuning: adapter, card, curves, resuming, several devices, and what is refused beforehand."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from agentx.conversation import Conversation, Message
from agentx.errors import ConfigError, UserError
from agentx.models.loading import load_renderer, load_weights
from agentx.models.settings import ModelSettings
from agentx.tuning.adapters import AdapterCard, served
from agentx.tuning.run import AdapterResult, tune
from agentx.tuning.settings import LoggerSettings, TrainerSettings, TuningSettings

QUICK = TuningSettings(
    rank=4,
    alpha=8,
    dropout=0.0,
    learning_rate=5e-3,
    warmup_ratio=0.1,
    weight_decay=0.01,
    steps=6,
    batch_size=8,
    tokens_per_pass=600,
    max_length=256,
    log_every=2,
    checkpoint_every=0,
)


def silent(done: int, total: int, account: str) -> None:
    pass


def run(
    model: ModelSettings,
    output: Path,
    agent: list[Conversation],
    general: list[Conversation],
    settings: TuningSettings = QUICK,
    trainer: TrainerSettings | None = None,
    logger: LoggerSettings | None = None,
    agent_ratio: float = 0.5,
) -> AdapterResult:
    return tune(
        model,
        settings,
        trainer or TrainerSettings(),
        logger or LoggerSettings(name="none"),
        agent=agent,
        general=general,
        agent_ratio=agent_ratio,
        seed=3,
        output=output,
        progress=silent,
    )


def weights(result: AdapterResult) -> dict[str, torch.Tensor]:
    return load_file(result.path / "adapter_model.safetensors")


def test_tuning_lowers_the_loss_and_leaves_an_adapter_that_peft_loads(
    model: ModelSettings, tmp_path: Path, agent: list[Conversation], general: list[Conversation]
) -> None:
    result = run(model, tmp_path, agent, general, replace(QUICK, steps=40), logger=LoggerSettings(name="csv"))
    assert [entry["step"] for entry in result.history] == list(range(1, 41))
    assert result.history[-1]["loss"] < 0.6 * result.history[0]["loss"]

    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model.source)
    ids = torch.arange(6, 26).view(1, -1)
    before = base(input_ids=ids).logits
    after = PeftModel.from_pretrained(base, result.path)(input_ids=ids).logits
    assert not torch.allclose(before, after, atol=1e-3)

    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(2, 41, 2))
    last = {name: float(value) for name, value in rows[-1].items() if value}
    assert last["tuning/lambda_examples"] == pytest.approx(result.realised["lambda_examples"])
    assert last["tuning/lambda_tokens"] == pytest.approx(result.realised["lambda_tokens"])
    assert last["tuning/loss"] == pytest.approx(result.history[-1]["loss"])
    assert 0 < last["tuning/trained_tokens_per_second"] < last["tuning/tokens_per_second"]


def test_card_says_what_the_adapter_was_made_from(
    model: ModelSettings, tmp_path: Path, agent: list[Conversation], general: list[Conversation]
) -> None:
    result = tune(
        model,
        QUICK,
        TrainerSettings(),
        LoggerSettings(name="none"),
        agent=agent,
        general=general,
        agent_ratio=0.5,
        seed=3,
        output=tmp_path,
        skipped={"agent": [f"a.jsonl:{line}: broken" for line in range(30)]},
        progress=silent,
    )
    record = json.loads((result.path / "agentx.json").read_text())
    assert record["data"]["agent"]["skipped"]["records"] == 30
    assert record["data"]["agent"]["skipped"]["first"][:1] == ["a.jsonl:0: broken"]
    assert record["data"]["general"]["skipped"] == {"records": 0, "first": []}
    assert record["model"] == "small" and record["agent_ratio"] == 0.5 and record["seed"] == 3
    assert record["data"]["agent"]["sources"] == {"households": 40}
    assert record["data"]["general"]["examples"]["examples"] == 30
    assert record["realised"]["agent_examples"] + record["realised"]["general_examples"] == 6 * 8
    assert set(record["versions"]) >= {"torch", "transformers", "peft"}
    assert AdapterCard.read(result.path).fingerprint == record["fingerprint"]
    assert served(model, result.path) == (model, result.path)


def test_the_adapter_is_served_with_its_own_template_and_base_only(
    model: ModelSettings, tmp_path: Path, agent: list[Conversation], general: list[Conversation]
) -> None:
    result = run(model, tmp_path, agent, general)
    tuned = load_weights(model, torch.device("cpu"), result.path)
    untuned = load_weights(model, torch.device("cpu"))
    ids = torch.arange(6, 26).view(1, -1)
    assert not torch.allclose(tuned(input_ids=ids).logits, untuned(input_ids=ids).logits, atol=1e-3)
    with pytest.raises(UserError, match=r"was tuned from small, not other; set model=small"):
        load_weights(replace(model, name="other"), torch.device("cpu"), result.path)
    with pytest.raises(UserError, match=r"was tuned with chat template 'tiny'"):
        load_renderer(replace(model, system_prompt="Be brief."), result.path)


def test_a_finished_adapter_is_reused_only_for_the_same_data_and_settings(
    model: ModelSettings, tmp_path: Path, agent: list[Conversation], general: list[Conversation]
) -> None:
    first = run(model, tmp_path, agent, general)
    again = run(model, tmp_path, agent, general, replace(QUICK, log_every=1))
    assert again.reused and again.history == first.history
    changed = run(model, tmp_path, agent[1:], general)
    assert not changed.reused and changed.card.fingerprint != first.card.fingerprint


def test_gradients_do_not_depend_on_passes_packing_or_chunks(
    model: ModelSettings, tmp_path: Path, agent: list[Conversation], general: list[Conversation]
) -> None:
    """One step of plain gradient descent would show the gradient; AdamW's first step shows its sign, and 6 steps
    with clipping its size."""
    variants = {
        "1x8": replace(QUICK, accumulate=8),
        "2x4": replace(QUICK, accumulate=4),
        "8x1": replace(QUICK, accumulate=1),
        "packed": replace(QUICK, packing=True),
        "chunked": replace(QUICK, loss_chunk=7),
        "checkpointed": replace(QUICK, gradient_checkpointing=True),
    }
    results = {name: run(model, tmp_path / name, agent, general, settings) for name, settings in variants.items()}
    reference = results["8x1"]
    for name, result in results.items():
        assert [e["loss"] for e in result.history] == pytest.approx([e["loss"] for e in reference.history], rel=1e-4), (
            name
        )
        for key, value in weights(reference).items():
            assert torch.allclose(weights(result)[key], value, atol=2e-4), (name, key)


def test_two_ranks_give_the_single_rank_result(
    model: ModelSettings, tmp_path: Path, agent: list[Conversation], general: list[Conversation]
) -> None:
    one = run(model, tmp_path / "one", agent, general)
    two = run(
        model,
        tmp_path / "two",
        agent,
        general,
        trainer=TrainerSettings(devices=2, strategy="ddp_fork", threads=1),
        logger=LoggerSettings(name="csv"),
    )
    assert two.realised == one.realised
    for ours, theirs in zip(two.history, one.history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    for key, value in weights(one).items():
        assert torch.allclose(weights(two)[key], value, atol=2e-4), key
    assert (tmp_path / "two" / "metrics.csv").is_file()


def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(
    model: ModelSettings, tmp_path: Path, agent: list[Conversation], general: list[Conversation]
) -> None:
    settings = replace(QUICK, steps=14, dropout=0.1, checkpoint_every=3)
    steps: list[int] = []

    def start(output: str, report: Callable[[int, int, str], None]) -> None:
        tune(
            model,
            settings,
            TrainerSettings(),
            LoggerSettings(name="csv"),
            agent=agent,
            general=general,
            agent_ratio=0.5,
            seed=3,
            output=tmp_path / output,
            progress=report,
        )

    def die(done: int, total: int, account: str) -> None:
        if done == 8:
            os.kill(os.getpid(), signal.SIGKILL)

    start("whole", silent)
    victim = multiprocessing.get_context("fork").Process(target=start, args=("killed", die))
    victim.start()
    victim.join()
    assert victim.exitcode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "adapter").exists()

    start("killed", lambda done, total, account: steps.append(done))
    assert steps == [7, 8, 9, 10, 11, 12, 13, 14]
    adapters = [
        (tmp_path / name / "adapter" / "adapter_model.safetensors").read_bytes() for name in ("whole", "killed")
    ]
    assert adapters[0] == adapters[1]
    cards = [json.loads((tmp_path / name / "adapter" / "agentx.json").read_text()) for name in ("whole", "killed")]
    assert cards[0]["history"] == cards[1]["history"]
    assert not (tmp_path / "killed" / "checkpoint").exists()


def test_a_checkpoint_holds_only_what_is_trained(
    model: ModelSettings, tmp_path: Path, agent: list[Conversation], general: list[Conversation]
) -> None:
    saved: dict[str, torch.Tensor] = {}

    def report(done: int, total: int, account: str) -> None:
        if done == 5:
            saved.update(torch.load(tmp_path / "checkpoint" / "last.ckpt", weights_only=False)["state_dict"])

    tune(
        model,
        replace(QUICK, checkpoint_every=2),
        TrainerSettings(),
        LoggerSettings(name="none"),
        agent=agent,
        general=general,
        agent_ratio=0.5,
        seed=3,
        output=tmp_path,
        progress=report,
    )
    assert saved and all(".lora_" in name for name in saved)


@pytest.mark.parametrize("agent_ratio", [0.0, 1.0])
def test_one_set_may_be_empty_at_either_end(
    model: ModelSettings, tmp_path: Path, agent: list[Conversation], general: list[Conversation], agent_ratio: float
) -> None:
    result = run(model, tmp_path, agent if agent_ratio else [], [] if agent_ratio else general, agent_ratio=agent_ratio)
    assert result.realised["lambda_tokens"] == result.realised["lambda_examples"] == agent_ratio


@pytest.mark.parametrize("change", [{"use_dora": True}, {"use_rslora": True}, {"targets": "q_proj,v_proj"}])
def test_variants_of_lora_reach_peft(
    model: ModelSettings, tmp_path: Path, agent: list[Conversation], general: list[Conversation], change: dict
) -> None:
    result = run(model, tmp_path, agent, general, replace(QUICK, steps=1, **change))
    written = json.loads((result.path / "adapter_config.json").read_text())
    option, value = next(iter(change.items()))
    if option == "targets":
        assert sorted(written["target_modules"]) == ["q_proj", "v_proj"]
    else:
        assert written[option] is value


def test_all_linear_means_every_linear_layer_but_the_vocabulary(
    model: ModelSettings, tmp_path: Path, agent: list[Conversation], general: list[Conversation]
) -> None:
    result = run(model, tmp_path, agent, general, replace(QUICK, steps=1))
    adapted = {re.findall(r"(\w+)\.lora_", name)[0] for name in weights(result)}
    assert adapted == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_full_tuning_leaves_a_whole_model(
    model: ModelSettings, tmp_path: Path, agent: list[Conversation], general: list[Conversation]
) -> None:
    result = run(model, tmp_path, agent, general, replace(QUICK, name="full", learning_rate=1e-3, steps=20))
    assert result.card.kind == "model"
    opened, adapter = served(model, result.path)
    assert adapter is None and opened.source == str(result.path)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tuned = AutoModelForCausalLM.from_pretrained(result.path).state_dict()
    before = AutoModelForCausalLM.from_pretrained(model.source).state_dict()
    assert all(not torch.equal(tuned[name], before[name]) for name in before if name.endswith("proj.weight"))
    assert len(AutoTokenizer.from_pretrained(result.path)) == 400
    assert result.history[-1]["loss"] < result.history[0]["loss"]


def test_four_bit_weights_are_tuned_on_a_cpu(
    model: ModelSettings, tmp_path: Path, agent: list[Conversation], general: list[Conversation]
) -> None:
    pytest.importorskip("bitsandbytes")
    result = run(model, tmp_path, agent, general, replace(QUICK, name="qlora", steps=12))
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert all(".lora_" in name for name in weights(result))


def test_what_cannot_be_tuned_is_refused_before_the_first_step(
    model: ModelSettings,
    tmp_path: Path,
    agent: list[Conversation],
    general: list[Conversation],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ConfigError, match=r"tuning.targets=q_prj: no module.*q_proj"):
        run(model, tmp_path, agent, general, replace(QUICK, targets="q_prj"))
    with pytest.raises(ConfigError, match=r"tuning.max_length=4096: small reads at most 512 tokens"):
        run(model, tmp_path, agent, general, replace(QUICK, max_length=4096))
    with pytest.raises(ConfigError, match=r"model=gpt-4: .*cannot be tuned; add tuning=none"):
        run(ModelSettings(name="gpt-4", kind="api"), tmp_path, agent, general)
    with pytest.raises(UserError, match=r"data.general: no conversations, but λ=0.5"):
        run(model, tmp_path, agent, [])
    with pytest.raises(UserError, match=r"data.agent: all 40 conversations are longer than tuning.max_length=16"):
        run(model, tmp_path, agent, general, replace(QUICK, max_length=16))
    with pytest.raises(UserError, match=r"conversation x:7: has no trained turn"):
        mute = Conversation((Message("user", "Hello"), Message("assistant", "Hi")), "x", "7")
        run(model, tmp_path, [*agent, mute], general)
    with pytest.raises(ConfigError, match=r"tuning.batch_size=1: 2 devices with 1 forward passes each need at least 2"):
        devices = TrainerSettings(devices=2, strategy="ddp_spawn")
        run(model, tmp_path, agent, general, replace(QUICK, batch_size=1), trainer=devices)
    with pytest.raises(ConfigError, match=r"tuning.attention=flex_attention: cannot train on a CPU"):
        run(model, tmp_path, agent, general, replace(QUICK, attention="flex_attention"))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=r"tuning.compile=true: .* no-such-compiler is not there"):
        run(model, tmp_path, agent, general, replace(QUICK, compile=True))
    missing = replace(model, source=str(tmp_path / "nothing"))
    with pytest.raises(UserError, match=r"model.source=.*nothing: no such directory"):
        run(missing, tmp_path, agent, general)


def test_progress_off_a_terminal_is_a_line_every_few_seconds(
    model: ModelSettings,
    tmp_path: Path,
    agent: list[Conversation],
    general: list[Conversation],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import agentx.tuning.progress as progress

    ticks = iter(range(0, 10_000, 2))
    monkeypatch.setattr(progress.time, "perf_counter", lambda: float(next(ticks)))
    tune(
        model,
        QUICK,
        TrainerSettings(),
        LoggerSettings(name="none"),
        agent=agent,
        general=general,
        agent_ratio=0.5,
        seed=3,
        output=tmp_path,
    )
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert 1 <= len(lines) < 6 and all(re.match(r"tuning: step \d of 6, loss \d.* left$", line) for line in lines), (
        lines
    )
    assert captured.out == ""


@pytest.mark.parametrize(
    ("change", "within"),
    [
        ({"precision": "bf16"}, 5e-2),
        ({"loss_chunk": 5, "gradient_checkpointing": True, "attention": "eager"}, 1e-4),
        ({"name": "qlora", "gradient_checkpointing": True}, 0.3),
    ],
    ids=str,
)
def test_options_that_save_time_or_memory_keep_the_loss(
    model: ModelSettings,
    tmp_path: Path,
    agent: list[Conversation],
    general: list[Conversation],
    change: dict,
    within: float,
) -> None:
    if change.get("name") == "qlora":
        pytest.importorskip("bitsandbytes")
    plain = run(model, tmp_path / "plain", agent, general, replace(QUICK, steps=3))
    other = run(model, tmp_path / "other", agent, general, replace(QUICK, steps=3, **change))
    losses = [[entry["loss"] for entry in result.history] for result in (plain, other)]
    assert losses[1] == pytest.approx(losses[0], rel=within)


def test_a_compiled_decoder_has_the_same_losses(
    model: ModelSettings,
    tmp_path: Path,
    agent: list[Conversation],
    general: list[Conversation],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Through the graphs that torch.compile traces; compiling them to machine code takes minutes on a CPU."""
    if shutil.which("g++") is None:
        pytest.skip("tuning.compile needs g++ on a CPU")
    compiled = []

    def traced(module: torch.nn.Module, **options: object) -> None:
        compiled.append(module)
        compile_module(module, **{**options, "backend": "aot_eager"})

    compile_module = torch.nn.Module.compile
    plain = run(model, tmp_path / "plain", agent, general, replace(QUICK, steps=2))
    monkeypatch.setattr(torch.nn.Module, "compile", traced)
    other = run(model, tmp_path / "other", agent, general, replace(QUICK, steps=2, compile=True))
    assert len(compiled) == 1
    losses = [[entry["loss"] for entry in result.history] for result in (plain, other)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_a_small_gradient_clip_changes_what_is_learnt(
    model: ModelSettings, tmp_path: Path, agent: list[Conversation], general: list[Conversation]
) -> None:
    """AdamW forgets the size of a constant gradient, so the clip must vary what it does to steps of unlike size."""
    free = run(model, tmp_path / "free", agent, general, replace(QUICK, gradient_clip=0))
    clipped = run(model, tmp_path / "clipped", agent, general, replace(QUICK, gradient_clip=1e-6))
    assert free.history[0] == clipped.history[0]
    assert free.history[-1]["loss"] != pytest.approx(clipped.history[-1]["loss"], rel=1e-3)


def test_conversations_the_template_refuses_are_skipped_and_counted_when_asked(
    model: ModelSettings, tmp_path: Path, agent: list[Conversation], general: list[Conversation]
) -> None:
    mute = Conversation((Message("user", "Hello"), Message("assistant", "Hi")), "x", "7")
    result = tune(
        model,
        replace(QUICK, steps=1),
        TrainerSettings(),
        LoggerSettings(name="none"),
        agent=[*agent, mute],
        general=general,
        agent_ratio=0.5,
        seed=3,
        output=tmp_path,
        on_error="skip",
        progress=silent,
    )
    skipped = result.card.data["agent"]["skipped"]
    assert skipped["records"] == 1 and skipped["first"][0].startswith("conversation x:7: has no trained turn")
