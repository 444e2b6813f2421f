"""Weights spread over two CPU processes (trainer=fsdp), and trainers that cannot be had."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from agentx.errors import ConfigError
from agentx.tuning.settings import TrainerSettings, TuningSettings
from agentx.tuning.trainer import build_trainer, evaluation_strategy

ROOT = Path(__file__).parents[2]
SMALL = [
    *(
        "job=tune",
        "tuning.steps=3",
        "tuning.batch_size=4",
        "tuning.rank=4",
        "data.experts_size=2",
        "data.skills_size=6",
    ),
    *(
        "trainer.accelerator=cpu",
        "trainer.workers=0",
        "trainer.threads=1",
        "tuning.gradient_clip=0.5",
        "tuning.learning_rate=2e-4",
    ),
]


def adapter(output: Path, *options: str) -> Path:
    command = [sys.executable, "run.py", *SMALL, *options, f"paths.output={output}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, env={**os.environ})
    assert done.returncode == 0, done.stderr[-3000:]
    (found,) = output.glob("adapters/*/adapter")
    return found


def test_two_processes_that_share_the_weights_give_the_single_ones_adapter(tmp_path: Path) -> None:
    one = adapter(tmp_path / "one")
    two = adapter(tmp_path / "two", "trainer=fsdp", "trainer.devices=2")
    histories = [json.loads((each / "agentx.json").read_text())["history"] for each in (one, two)]
    for alone, shared in zip(*histories, strict=True):
        # Losses near 0 are differences of logits near 20, whose last digit in 32 bits is 2e-6: a few of those.
        assert shared == pytest.approx(alone, rel=1e-4, abs=3e-5, nan_ok=True)
    weights = [load_file(each / "adapter_model.safetensors") for each in (one, two)]
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        assert torch.allclose(weights[1][name], value, atol=2e-4), name
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(ROOT / "agentx" / "models" / "tiny")
    PeftModel.from_pretrained(base, str(two))


@pytest.mark.parametrize(
    ("trainer", "tuning", "message"),
    [
        (
            {"accelerator": "gpu", "strategy": "deepspeed_stage_2"},
            {},
            r"trainer.strategy=deepspeed_stage_2: needs the package deepspeed.*pip install deepspeed.*trainer=fsdp",
        ),
        ({"strategy": "fsdp", "devices": 2}, {"name": "qlora"}, r"trainer=fsdp: cannot spread 4-bit weights"),
        ({}, {"precision": "fp16"}, r"tuning.precision=fp16: a CPU has no such arithmetic"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    trainer: dict, tuning: dict, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentx.tuning.trainer.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=message):
        build_trainer(TrainerSettings(**trainer), TuningSettings(**tuning), False, tmp_path, 1, [])


def test_evaluation_copies_the_model_to_every_device() -> None:
    named = ("auto", "ddp", "fsdp", "deepspeed_stage_3")
    assert [evaluation_strategy(TrainerSettings(strategy=name)) for name in named] == ["auto", "ddp", "ddp", "ddp"]
