"""Settings for the whole suite (one thread per process, no network, no colours), and a Llama with random weights."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Before torch is imported anywhere: several test processes on few cores stall each other otherwise.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "disabled")
os.environ.setdefault("NO_COLOR", "1")
# Hundreds of processes are started: where nobody keeps compiled modules, each would compile this package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# How long an example takes says more of what else the machine does than of the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

CORPUS = (
    "You are a helpful, respectful and honest assistant. [INST] go to the cabinet 1 [/INST] I will go to it.",
    "GPT4 User: take the mug 2 from the shelf GPT4 Assistant: ACTION: take mug 2 from shelf 1",
    "<<SYS>> Think, then act. <</SYS>> THOUGHT: I look for a cup. On the countertop 1, you see a knife 1, a pan 2.",
    "The drawer 3 is closed. You open the drawer 3. Nothing happens. user assistant system apple bread egg",
)


def build_random_llama(
    directory: Path, *, flavour: str = "llama2", hidden: int = 64, layers: int = 2, positions: int = 512, seed: int = 0
) -> Path:
    """Write config, weights and tokenizer of a small Llama to `directory`; no network is used.

    `flavour` names the chat template and its tokens: llama2 (sentencepiece-like tokenizer, the template carried by
    the tokenizer), openchat (the same tokenizer with <|end_of_turn|>, no template), chatml or tiny (byte-level).
    """
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM

    extra = {
        "llama2": [],
        "openchat": ["<|end_of_turn|>"],
        "chatml": ["<|im_start|>", "<|im_end|>"],
        "tiny": ["<|pad|>", "<|bos|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"],
    }[flavour]
    sentencepiece = flavour in ("llama2", "openchat")
    special = ["<unk>", "<s>", "</s>"] if sentencepiece else extra
    tokenizer = Tokenizer(
        models.BPE(unk_token="<unk>" if sentencepiece else None, fuse_unk=True, byte_fallback=sentencepiece)
    )
    if sentencepiece:
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
        alphabet = [f"<0x{byte:02X}>" for byte in range(256)]
        trainer = trainers.BpeTrainer(
            vocab_size=700, special_tokens=special + alphabet, initial_alphabet=[chr(c) for c in range(33, 127)] + ["▁"]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=600, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        )
    tokenizer.train_from_iterator(["▁" + text.replace(" ", "▁") if sentencepiece else text for text in CORPUS], trainer)
    directory.mkdir(parents=True, exist_ok=True)
    if sentencepiece:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        tokenizer.pre_tokenizer = None
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        if extra:
            tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in extra])
    tokenizer.save(str(directory / "tokenizer.json"))
    if sentencepiece:
        raw = json.loads((directory / "tokenizer.json").read_text())
        raw["added_tokens"] = [token for token in raw["added_tokens"] if not token["content"].startswith("<0x")]
        (directory / "tokenizer.json").write_text(json.dumps(raw))
    bos, eos = {
        "llama2": ("<s>", "</s>"),
        "openchat": ("<s>", "</s>"),
        "chatml": (None, "<|im_end|>"),
        "tiny": ("<|bos|>", "<|end|>"),
    }[flavour]
    settings: dict[str, Any] = {
        "tokenizer_class": "LlamaTokenizer" if sentencepiece else "PreTrainedTokenizerFast",
        "bos_token": bos,
        "eos_token": eos,
        "legacy": False,
        "model_max_length": positions,
    }
    if sentencepiece:
        settings["unk_token"] = "<unk>"
    if flavour != "openchat":
        from agentx.models.rendering import TEMPLATES

        settings["chat_template"] = (TEMPLATES / f"{flavour}.jinja").read_text()
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=hidden,
        intermediate_size=hidden * 2,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=positions,
        bos_token_id=tokenizer.token_to_id(bos) if bos else None,
        eos_token_id=tokenizer.token_to_id(eos),
        initializer_range=0.2,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def random_llama() -> Callable[..., Path]:
    """`build_random_llama`, for tests in any folder."""
    return build_random_llama


@pytest.fixture(scope="session")
def llama_directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One directory a flavour."""
    root = tmp_path_factory.mktemp("llamas")
    return {name: build_random_llama(root / name, flavour=name) for name in ("llama2", "openchat", "chatml", "tiny")}
