"""The training text: narrated play of all tasks, copying drills and general skills, as batches of token ids."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from agentx.conversation import Conversation
from agentx.pretraining.drills import drill
from agentx.pretraining.narration import Narration, narrate
from agentx.pretraining.plays import Play, tell
from agentx.pretraining.renaming import rename
from agentx.pretraining.settings import PretrainSettings
from agentx.pretraining.skills import general_conversations
from agentx.pretraining.tokenizer import BOS, END

CHUNK = 512
"""documents that are drawn, sorted by length and cut into batches together"""
IGNORED = -100
"""label of padding"""


Document = str | Narration | Conversation
Row = tuple[list[int], list[int]]
"""token ids and labels of one document"""


@dataclass(frozen=True)
class Batch:
    """`ids` and `labels` are [rows, width]; padding is at the right, so causal attention needs no mask."""

    ids: Tensor
    labels: Tensor
    tokens: int
    """tokens that are not padding"""


def document(settings: PretrainSettings, index: int, plays: Sequence[Play]) -> Document:
    """The text with this number: a function of the seed, the number and the recorded plays."""
    rng = Random(f"pretrain:{settings.seed}:{index}")
    fallen = min(1.0, index / settings.drill_documents) if settings.drill_documents else 1.0
    drills = settings.drills_at_start + (settings.drills - settings.drills_at_start) * fallen
    if rng.random() < drills:
        return drill(rng)
    kind = rng.random() * (1 - settings.drills)
    if kind < settings.narration:
        return narrate(rng, "train")
    if kind < settings.narration + settings.plays and plays:
        play = rng.choice(plays)
        return tell(rename(play, rng) if rng.random() < settings.renamed else play, rng)
    several = rng.randint(3, 9) if rng.random() < 0.1 else 1
    parts = general_conversations(several, rng.randrange(2**31))
    return Conversation(tuple(chain.from_iterable(part.messages for part in parts)))


def encode(documents: list[Document], tokenizer: PreTrainedTokenizerFast) -> list[Row]:
    """Plain texts between BOS and END, conversations in the chat template; every token is a label but those of
    a narration's deliberate mistakes."""
    pieces = [piece for document in documents for piece in _pieces(document, tokenizer)]
    encoded = iter(tokenizer([text for text, _ in pieces], add_special_tokens=False)["input_ids"])
    rows: list[Row] = []
    for _, trained in pieces:
        ids = next(encoded)
        if ids[0] == tokenizer.bos_token_id:
            rows.append(([], []))
        rows[-1][0].extend(ids)
        rows[-1][1].extend(ids if trained else [IGNORED] * len(ids))
    return rows


def _pieces(document: Document, tokenizer: PreTrainedTokenizerFast) -> list[tuple[str, bool]]:
    if isinstance(document, str):
        return [(f"{BOS}{document}{END}", True)]
    if isinstance(document, Narration):
        return [(BOS, True), *document.pieces, (END, True)]
    messages = [{"role": message.role, "content": message.content} for message in document.messages]
    return [(str(tokenizer.apply_chat_template(messages, tokenize=False)), True)]


def plain_text(document: Document) -> str:
    if isinstance(document, Conversation):
        return "\n".join(message.content for message in document.messages)
    return document.text if isinstance(document, Narration) else document


def corpus_hash(settings: PretrainSettings, plays: Sequence[Play], count: int = 2000) -> str:
    """BLAKE2 over the first `count` documents: what the recipe records to recognise its data."""
    digest = hashlib.blake2b(digest_size=16)
    for index in range(count):
        digest.update(plain_text(document(settings, index, plays)).encode() + b"\0")
    return digest.hexdigest()


def batches(
    settings: PretrainSettings, tokenizer: PreTrainedTokenizerFast, plays: Sequence[Play], skip: int = 0
) -> Iterator[Batch]:
    """Endless batches of at most `batch_tokens` tokens, padding included; the first `skip` are passed over.

    Documents longer than the context are left out.
    """
    for chunk in range(2**31):
        documents = [document(settings, chunk * CHUNK + i, plays) for i in range(CHUNK)]
        rows = [row for row in encode(documents, tokenizer) if len(row[0]) <= settings.context_length]
        groups = group(rows, settings.batch_tokens)
        Random(f"order:{settings.seed}:{chunk}").shuffle(groups)
        for rows in groups[skip:]:
            yield collate(rows, tokenizer.pad_token_id)
        skip = max(0, skip - len(groups))


def group(rows: list[Row], batch_tokens: int) -> list[list[Row]]:
    """Rows of like length together, each group at most `batch_tokens` when padded."""
    groups: list[list[Row]] = [[]]
    for row in sorted(rows, key=lambda row: len(row[0])):
        if len(row[0]) * (len(groups[-1]) + 1) > batch_tokens:
            groups.append([])
        groups[-1].append(row)
    return groups


def collate(rows: list[Row], pad: int) -> Batch:
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in rows])
    labels = torch.tensor([labels + [IGNORED] * (width - len(labels)) for _, labels in rows])
    return Batch(ids, labels, sum(len(ids) for ids, _ in rows))
