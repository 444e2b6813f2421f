"""The memory estimate beside what a tuning really takes, and what is said when there is not enough."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest
from transformers import LlamaConfig

from agentx.errors import ConfigError
from agentx.tuning import memory
from agentx.tuning.settings import TuningSettings

SEVEN_BILLION = LlamaConfig(
    vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32
)
MEASURE = """
import json, sys, torch
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM
from agentx.tuning.adapters import attach
from agentx.tuning.settings import TuningSettings
from agentx.tuning import memory
torch.set_num_threads(1)
def peak():  # of this program alone; what getrusage says includes the program that started it
    return next(int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith("VmHWM"))
settings = TuningSettings(dropout=0.0, tokens_per_pass=768, max_length=768, **json.loads(sys.argv[1]))
shape = {"vocab_size": 4000, "hidden_size": 256, "intermediate_size": 768}
config = LlamaConfig(**shape, num_hidden_layers=6, num_attention_heads=4)
tiny = LlamaForCausalLM(LlamaConfig(vocab_size=16, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                                    num_attention_heads=1))
tiny(torch.arange(8).view(1, -1), labels=torch.arange(8).view(1, -1)).loss.backward()
needed = memory.estimate(config, settings, None, 4)
before = peak()
model = attach(LlamaForCausalLM(config), settings, None, 0)
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trained)
ids = torch.randint(0, 4000, (1, 768))
for _ in range(2):
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
after = peak()
print(json.dumps([needed.total, (after - before) * 1024.0]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
@pytest.mark.parametrize("options", [{"name": "lora"}, {"name": "full"}], ids=str)
def test_the_estimate_is_near_the_peak_of_a_real_tuning(options: dict[str, object]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, json.dumps(options)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    estimated, measured = json.loads(done.stdout.splitlines()[-1])
    assert measured / 2 < estimated < measured * 2, (estimated / 1e6, measured / 1e6)


def test_seven_billion_weights_in_every_kind_of_tuning() -> None:
    def needed(**options: object) -> memory.MemoryEstimate:
        return memory.estimate(SEVEN_BILLION, TuningSettings(precision="bf16", **options), None, 2)  # type: ignore[arg-type]

    lora, qlora, full = needed(), needed(name="qlora"), needed(name="full")
    assert lora.weights == pytest.approx(13.6e9, rel=0.03)
    assert qlora.weights == pytest.approx(4.1e9, rel=0.1)
    assert full.optimizer == pytest.approx(54e9, rel=0.02)
    assert needed(gradient_checkpointing=True).activations < lora.activations / 5
    assert memory.estimate(SEVEN_BILLION, TuningSettings(), ["q_proj"], 2).optimizer < lora.optimizer / 5
    assert memory.estimate(SEVEN_BILLION, TuningSettings(), None, 2, shards=4).weights == lora.weights / 4


def test_too_little_memory_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    needed = memory.estimate(SEVEN_BILLION, TuningSettings(), None, 2)
    with pytest.raises(ConfigError) as error:
        memory.check(needed, 8e9, "GPU")
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("not enough memory on this GPU: tuning needs about ")
    assert "8.0 GB are free; take tuning=qlora" in str(error.value)
    with caplog.at_level(logging.WARNING):
        memory.check(needed, needed.certain + 1e9, "GPU")
    assert "tuning.gradient_checkpointing=true" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        memory.check(needed, 2 * needed.total, "GPU")
    assert not caplog.text
