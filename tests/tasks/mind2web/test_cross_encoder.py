"""The optional ranking by a model: a small random classifier stands in for a trained one."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

from agentx.construction.demonstrations import expert_conversations
from agentx.errors import ConfigError, UserError
from agentx.tasks.environment import TaskDataError
from agentx.tasks.mind2web.cross_encoder import CrossEncoder, described_around, query
from agentx.tasks.mind2web.page import find, parse_page
from agentx.tasks.mind2web.settings import Settings
from agentx.tasks.mind2web.task import make_task


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small-ranker")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", "##a", "input", "town", ":"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, num_labels=1, initializer_range=0.5,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_all_candidates_are_ranked_by_the_models_score(classifier: Path, make_step: Any) -> None:
    step = make_step(ranks=None)
    ranker = CrossEncoder(str(classifier))
    ranks = ranker.rank(step).ranks
    assert sorted(ranks.values()) == list(range(6)) and ranks == ranker.rank(step).ranks
    page = parse_page(step.html, step.where)
    nodes = find(page, [*step.positives, *step.negatives])
    scores = {name: ranker._scores(query(step), [described_around(page, node)])[0] for name, node in nodes.items()}
    ordered = [scores[name] for name in sorted(ranks, key=lambda name: ranks[name])]
    # Alone and in a batch a score may differ in its last digits, so that near ties are in any order.
    assert all(better > worse - 1e-5 for better, worse in pairwise(ordered)) and ordered[0] > ordered[-1] + 1e-5


def test_an_element_is_told_apart_from_what_is_around_it(make_step: Any) -> None:
    step = make_step(previous=("a", "b", "c", "d"))
    assert query(step) == "task is: Type the town Bath, then go.\nPrevious actions: b; c; d"
    page = parse_page(step.html, step.where)
    around, _, itself = described_around(page, find(page, ["5"])["5"]).partition("\ntarget: ")
    assert around.startswith("ancestors: (") and "home" in around and "<" not in around + itself
    assert itself.startswith("(input") and "town" in itself and "home" not in itself


def test_the_label_says_who_ranked_and_recall_is_reported(classifier: Path) -> None:
    made = make_task(Settings(samples=6, scores="cross_encoder", ranker=str(classifier)), SimpleNamespace())
    assert made.label == f"mind2web (generated, ranked by {classifier.name})"
    environment = asyncio.run(made.open(made.samples[0]))
    assert asyncio.run(environment.reset()).text


def test_what_is_no_ranker_is_one_line(tmp_path: Path, make_step: Any, classifier: Path) -> None:
    with pytest.raises(UserError, match=r"task\.ranker=.*no sequence classifier") as raised:
        CrossEncoder(str(tmp_path))
    assert "\n" not in str(raised.value)
    with pytest.raises(TaskDataError, match="has no node 99"):
        CrossEncoder(str(classifier)).rank(make_step(negatives=("99",)))
    for changes in ({"scores": "cross_encoder"}, {"ranker": "somewhere"}):
        with pytest.raises(ConfigError, match=r"task\.ranker="):
            Settings(**changes)


def test_demonstrations_need_no_ranker() -> None:
    settings = Settings(scores="cross_encoder", ranker="nowhere", prompt="compact")
    assert expert_conversations("mind2web", settings, 2, 0, 0) == expert_conversations(
        "mind2web", Settings(prompt="compact"), 2, 0, 0
    )
