"""A small Llama with random weights on disk, and conversations to tune it on."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from agentx.conversation import Conversation, Message
from agentx.models.rendering import Renderer
from agentx.models.settings import ModelSettings
from agentx.tuning.settings import LoggerSettings, TrainerSettings

CONTROLS = ["<|bos|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|pad|>"]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def households(count: int, seed: int = 0, turns: int = 4) -> list[Conversation]:
    """Agent conversations of a few turns, the first reply an untrained acknowledgement."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        thing = rng.choice(["apple", "mug", "book", "candle", "towel"])
        messages = [
            Message("user", "You are in a room. Reply with ACTION: and an action."),
            Message("assistant", "OK"),
            Message("user", f"Your task is to: put a {thing} in the drawer."),
        ]
        for turn in range(rng.randint(1, turns)):
            place = f"{rng.choice(['shelf', 'desk', 'cabinet'])} {rng.randint(1, 9)}"
            messages.append(Message("assistant", f"ACTION: go to {place}", trained=True))
            messages.append(Message("user", f"On the {place}, you see {rng.randint(0, 3)} {thing} (turn {turn})."))
        made.append(Conversation(tuple(messages), "households", str(number)))
    return made


def questions(count: int, seed: int = 0) -> list[Conversation]:
    """General conversations of one exchange."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        a, b = rng.randint(1, 99), rng.randint(1, 99)
        messages = (Message("user", f"What is {a} plus {b}?"), Message("assistant", f"It is {a + b}.", trained=True))
        made.append(Conversation(messages, "questions", str(number)))
    return made


@pytest.fixture
def agent() -> list[Conversation]:
    return households(40)


@pytest.fixture
def general() -> list[Conversation]:
    return questions(30)


@pytest.fixture(scope="session")
def model_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights and tokenizer of a two-layer Llama with the embedded model's chat template."""
    directory = tmp_path_factory.mktemp("model")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    texts = [message.content for c in [*households(50), *questions(50)] for message in c.messages]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=CONTROLS, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|bos|>",
        eos_token="<|end|>",
        pad_token="<|pad|>",
        additional_special_tokens=CONTROLS[1:4],
    ).save_pretrained(directory)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=400,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=0,
        eos_token_id=4,
        pad_token_id=5,
    )
    model = LlamaForCausalLM(config)
    # Random weights of the usual size give logits near zero, in which a leak between conversations would drown.
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.15)
    model.save_pretrained(directory)
    return directory


@pytest.fixture
def model(model_directory: Path) -> ModelSettings:
    return ModelSettings(name="small", source=str(model_directory), chat_template="tiny", max_tokens=32)


@pytest.fixture(scope="session")
def renderer(model_directory: Path) -> Renderer:
    return Renderer(AutoTokenizer.from_pretrained(model_directory), "tiny")


@pytest.fixture
def trainer() -> TrainerSettings:
    return TrainerSettings()


@pytest.fixture
def logger() -> LoggerSettings:
    return LoggerSettings(name="csv")
