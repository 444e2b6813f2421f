from __future__ import annotations

from dataclasses import replace
from itertools import islice

import torch
from transformers import PreTrainedTokenizerFast

from agentx.conversation import Conversation, Message
from agentx.pretraining.corpus import IGNORED, batches, corpus_hash, document, encode, group
from agentx.pretraining.narration import Narration
from agentx.pretraining.plays import Play
from agentx.pretraining.settings import PretrainSettings


def test_batches_can_be_taken_up_anywhere(
    small_settings: PretrainSettings, small_tokenizer: PreTrainedTokenizerFast, plays: list[Play]
) -> None:
    whole = list(islice(batches(small_settings, small_tokenizer, plays), 130))
    rest = list(islice(batches(small_settings, small_tokenizer, plays, skip=100), 30))
    for left, right in zip(whole[100:], rest, strict=True):
        assert torch.equal(left.ids, right.ids)
        assert torch.equal(left.labels, right.labels)


def test_batches_keep_their_bound(
    small_settings: PretrainSettings, small_tokenizer: PreTrainedTokenizerFast, plays: list[Play]
) -> None:
    for batch in islice(batches(small_settings, small_tokenizer, plays), 60):
        assert batch.ids.numel() <= small_settings.batch_tokens
        assert batch.tokens == int((batch.ids != small_tokenizer.pad_token_id).sum())
        assert bool((batch.labels[batch.ids == small_tokenizer.pad_token_id] == IGNORED).all())


def test_grouping_loses_nothing() -> None:
    rows = [(list(range(length)), list(range(length))) for length in (5, 1, 9, 9, 3, 10, 2)]
    groups = group(rows, 18)
    assert sorted(len(row[0]) for part in groups for row in part) == sorted(len(row[0]) for row in rows)
    assert all(max(len(row[0]) for row in part) * len(part) <= 18 for part in groups)


def test_mistakes_are_shown_but_not_learnt(small_tokenizer: PreTrainedTokenizerFast) -> None:
    told = Narration((("You see a mug 1.\n", True), ("> take pan 2 from desk 1\n", False), ("Nothing happens.", True)))
    ((ids, labels),) = encode([told], small_tokenizer)
    assert small_tokenizer.decode(ids) == f"<|bos|>{told.text}<|end|>"
    masked = [token for token, label in zip(ids, labels, strict=True) if label == IGNORED]
    assert small_tokenizer.decode(masked) == "> take pan 2 from desk 1\n"


def test_conversations_are_rendered_by_the_template(small_tokenizer: PreTrainedTokenizerFast) -> None:
    chat = Conversation((Message("user", "Say mug 1."), Message("assistant", "mug 1", trained=True)))
    ((ids, labels),) = encode([chat], small_tokenizer)
    assert small_tokenizer.decode(ids) == "<|bos|><|user|>Say mug 1.<|end|><|assistant|>mug 1<|end|>"
    assert ids == labels


def test_the_text_depends_on_seed_and_number_only(small_settings: PretrainSettings, plays: list[Play]) -> None:
    assert document(small_settings, 77, plays) == document(small_settings, 77, plays)
    assert corpus_hash(small_settings, plays, 50) == corpus_hash(small_settings, plays, 50)
    assert corpus_hash(small_settings, plays, 50) != corpus_hash(replace(small_settings, seed=2), plays, 50)


def test_shares_of_the_kinds(small_settings: PretrainSettings, plays: list[Play]) -> None:
    settings = replace(small_settings, drills=0.2, narration=0.3, plays=0.2, drill_documents=1000, drills_at_start=1.0)
    late = [document(settings, 1000 + i, plays) for i in range(1500)]
    kinds = [str if isinstance(d, str) else type(d) for d in late]
    assert abs(kinds.count(str) / 1500 - 0.2) < 0.04
    assert abs(kinds.count(Narration) / 1500 - 0.5) < 0.05
    told = [d.text for d in late if isinstance(d, Narration)]
    assert abs(sum("SELECT " in text or "click[" in text for text in told) / 1500 - 0.2) < 0.04
    assert isinstance(document(settings, 0, plays), str)
