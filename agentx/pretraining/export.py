"""Writing a trained model where others load it from: a Hugging Face directory that knows how it was made."""

from __future__ import annotations

import copy
import json
import os
import platform
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from agentx.pretraining.settings import PretrainSettings

LOG = "training_log.jsonl"
RECIPE = "recipe.json"

README = """# tiny

A small Llama trained from scratch by `python run.py job=pretrain` on text that this project generates: general skills
as conversations, copying drills, and play of the five tasks' training splits told as plain text (household on the
training floor plans; of the others often with other names), never in an agent's reply format. It began with heads that
copy, written over random weights (agentx/pretraining/initialization.py); training was free to change them. Weights are
bf16 on disk. `recipe.json` has the settings, seed, data hash, versions, what the checkpoint can do and how many
evaluated samples its text held, and under `started_from` the same of the run that this one went on from;
`training_log.jsonl` has the training curve of all runs. The tokenizer and chat template belong to the weights: do not
change one without the other.

Chat format: `<|bos|><|user|>text<|end|><|assistant|>text<|end|>`; the generation prompt is `<|assistant|>`.
"""


def recipe_record(settings: PretrainSettings, data_hash: str, **progress: Any) -> dict[str, Any]:
    packages = ("torch", "transformers", "tokenizers", "alfworld")
    return {
        "settings": asdict(settings),
        "data_hash": data_hash,
        **progress,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
    }


def export_model(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, directory: Path, recipe: dict[str, Any], log: Path
) -> None:
    """Writes weights (bf16), tokenizer, template, recipe and log; each file is replaced at once, so that a reader
    never sees half of one."""
    directory.mkdir(parents=True, exist_ok=True)
    disable_progress_bar()  # a bar for one file of 4 MB would break the run's own progress lines
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as scratch:
        made = Path(scratch)
        rounded = copy.deepcopy(model).cpu().bfloat16()
        rounded.save_pretrained(made)
        tokenizer.save_pretrained(made)
        (made / RECIPE).write_text(json.dumps(recipe, indent=2) + "\n")
        (made / LOG).write_text(log.read_text() if log.exists() else "")
        (made / "README.md").write_text(README)
        for file in sorted(made.iterdir()):
            file.chmod(0o644)  # safetensors makes its files readable by the owner alone
            os.replace(file, directory / file.name)
