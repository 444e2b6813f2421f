from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

import agentx.models
from agentx.pretraining.tokenizer import SPECIAL_TOKENS, frequent_phrases, train_tokenizer
from agentx.pretraining.words import HOUSEHOLD, LABELS

SHIPPED = Path(agentx.models.__file__).parent / "tiny"
shipped = AutoTokenizer.from_pretrained(SHIPPED)
ASCII = st.text(st.characters(min_codepoint=9, max_codepoint=126, exclude_characters="\x0b\x0c\x0d\x0e"), max_size=80)
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(ASCII | ANY)
def test_every_text_comes_back(text: str) -> None:
    if any(token in text for token in SPECIAL_TOKENS):
        return
    assert shipped.decode(shipped.encode(text, add_special_tokens=False)) == text


@given(st.lists(st.sampled_from([*HOUSEHOLD, "You arrive at", ", a", ". On the", "pple", "12"]), max_size=8))
def test_phrases_do_not_swallow_words(words: list[str]) -> None:
    text = " ".join(words) + ", apple"
    assert shipped.decode(shipped.encode(text)) == text
    assert shipped.convert_ids_to_tokens(shipped.encode(text))[-1] == "Ġapple"


def test_names_digits_and_labels_are_single_tokens() -> None:
    for name in HOUSEHOLD:
        assert len(shipped.encode(f" {name}")) == 1, name
    assert len(shipped.encode(" 27")) == 2
    for label in LABELS:
        assert len(shipped.encode(label.upper())) == 1, label


def test_phrases_save_tokens() -> None:
    line = "You arrive at cabinet 3. On the cabinet 3, you see a mug 2, and a plate 1."
    assert len(shipped.encode(line)) <= 15


def test_encoding_adds_nothing() -> None:
    assert shipped.encode("") == []
    assert shipped.bos_token_id not in shipped.encode("mug 1")


def test_special_tokens_are_registered() -> None:
    assert set(SPECIAL_TOKENS) <= set(shipped.all_special_tokens)
    assert (shipped.bos_token, shipped.eos_token, shipped.pad_token) == ("<|bos|>", "<|end|>", "<|pad|>")
    assert len({shipped.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}) == len(SPECIAL_TOKENS)


def test_template() -> None:
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": " Hello\n"},
        {"role": "assistant", "content": "Hi {{ x }}"},
        {"role": "user", "content": ""},
    ]
    text = shipped.apply_chat_template(messages, tokenize=False)
    assert text == (
        "<|bos|><|system|>Be short.<|end|><|user|> Hello\n<|end|><|assistant|>Hi {{ x }}<|end|><|user|><|end|>"
    )
    assert shipped.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == f"{text}<|assistant|>"
    ids = shipped.apply_chat_template(messages, tokenize=True, return_dict=False)
    assert ids.count(shipped.bos_token_id) == 1
    assert shipped.decode(ids) == text
    with pytest.raises(Exception, match="role must be"):
        shipped.apply_chat_template([{"role": "tool", "content": "x"}], tokenize=False)


def test_frequent_phrases_counts_fragments_between_names() -> None:
    lines = ["You see a mug 1 on the desk 2."] * 3 + ["You take a pen 4."]
    phrases = frequent_phrases(lines, 3)
    assert phrases[0] == "You see a" or " on the" in phrases
    assert all("mug" not in phrase and "1" not in phrase for phrase in phrases)


def test_training_is_deterministic_and_bounded(small_tokenizer: PreTrainedTokenizerFast) -> None:
    documents = ["You see a mug 1.", "take pen 2 from desk 1"] * 30
    first, second = (train_tokenizer(documents, ["You see a"], 320) for _ in range(2))
    assert first.get_vocab() == second.get_vocab()
    assert len(first) <= 320
    assert len(small_tokenizer) <= 700
