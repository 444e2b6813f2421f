"""Conversations to examples: what is trained, and what becomes of long ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from agentx.conversation import Conversation, Message
from agentx.errors import UserError
from agentx.models.rendering import Renderer
from agentx.tuning.datasets import read_conversations
from agentx.tuning.examples import Example, make_examples

SHARED = Path(os.environ.get("AGENTX_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")) / "sft"


def play(turns: int, words: int = 8, id: str = "1") -> Conversation:
    messages = [Message("user", "Rules of the house."), Message("assistant", "OK"), Message("user", "Task: find it.")]
    for turn in range(turns):
        messages.append(Message("assistant", f"reply {turn} " + "a " * words, trained=True))
        messages.append(Message("user", f"seen {turn} " + "b " * words))
    return Conversation(tuple(messages), "play", id)


def text(example: Example, tokenizer, trained_only: bool = False) -> str:
    ids = example.ids[example.trained] if trained_only else example.ids
    return tokenizer.decode(ids.tolist(), skip_special_tokens=False, clean_up_tokenization_spaces=False)


@pytest.fixture(scope="module")
def tokenizer(model_directory: Path):
    return AutoTokenizer.from_pretrained(model_directory)


def test_trained_tokens_are_the_replies_with_their_end(renderer: Renderer, tokenizer) -> None:
    (example,) = make_examples([play(2, words=0)], renderer, 512).examples
    assert text(example, tokenizer, trained_only=True) == "reply 0 <|end|>reply 1 <|end|>"
    assert text(example, tokenizer).endswith("reply 1 <|end|>"), "what follows the last trained turn is left out"
    assert "seen 0" in text(example, tokenizer)


def test_a_conversation_without_a_trained_turn_is_refused_by_its_id(renderer: Renderer) -> None:
    mute = Conversation((Message("user", "Hello"), Message("assistant", "Hi")), "set", "42")
    with pytest.raises(UserError, match=r"conversation set:42: has no trained turn"):
        make_examples([play(1), mute], renderer, 512)


def test_long_conversations_are_dropped_and_counted(renderer: Renderer) -> None:
    made = make_examples([play(1), play(40)], renderer, 120, "drop")
    assert (len(made), made.conversations, made.dropped, made.split) == (1, 2, 1, 0)


@settings(max_examples=40, deadline=None)
@given(turns=st.integers(1, 14), words=st.integers(0, 10), max_length=st.integers(60, 250))
def test_pieces_keep_the_task_and_train_every_reply_once(
    renderer: Renderer, model_directory: Path, turns: int, words: int, max_length: int
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model_directory)
    made = make_examples([play(turns, words)], renderer, max_length)
    assert all(len(example) <= max_length for example in made.examples)
    trained = "".join(text(example, tokenizer, trained_only=True) for example in made.examples)
    replies = [f"reply {turn} " + "a " * words for turn in range(turns)]
    if made.turns_dropped == 0 and not made.dropped:
        assert trained == "".join(f"{reply}<|end|>" for reply in replies)
    opening = (
        "<|bos|><|user|>Rules of the house.<|end|><|assistant|>OK<|end|><|user|>Task: find it.<|end|><|assistant|>"
    )
    for example in made.examples:
        assert text(example, tokenizer).startswith(opening)
    assert made.split == (len(made) > 1 or made.turns_dropped > 0)
    for index, example in enumerate(made.examples[1:], start=1):
        # A later piece goes on from the last, untrained, reply of the one before.
        last = text(made.examples[index - 1], tokenizer, trained_only=True).split("<|end|>")[-2]
        assert text(example, tokenizer).startswith(f"{opening}{last}<|end|><|user|>seen")


def test_a_turn_too_long_even_alone_is_counted_and_the_rest_is_kept(renderer: Renderer, tokenizer) -> None:
    messages = list(play(4, words=2).messages)
    messages[5] = Message("assistant", "c " * 400, trained=True)
    made = make_examples([Conversation(tuple(messages), "play", "1")], renderer, 120)
    trained = "".join(text(example, tokenizer, trained_only=True) for example in made.examples)
    assert made.turns_dropped >= 1 and "c c" not in trained
    assert "reply 0" in trained and "reply 3" in trained
    hopeless = make_examples([Conversation((*messages[:3], messages[5]), "play", "1")], renderer, 120)
    assert (len(hopeless), hopeless.dropped, hopeless.split) == (0, 1, 0)


def test_real_trajectories_are_never_cut(renderer: Renderer) -> None:
    path = SHARED / "agentinstruct_reconstructed.jsonl"
    if not path.is_file():
        pytest.skip("real conversations are not here; set AGENTX_SHARED_DATA")
    conversations = read_conversations(path).conversations[::25]
    whole = make_examples(conversations, renderer, 100_000)
    split = make_examples(conversations, renderer, 8192)
    assert split.split > 0 and max(len(example) for example in split.examples) <= 8192
    assert (split.dropped, split.turns_dropped) == (0, 0)
    assert split.trained_tokens.sum() == whole.trained_tokens.sum()
