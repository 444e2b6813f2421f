"""Candidates ranked by a cross-encoder: a model that reads task and element together and gives one score.

Any sequence classifier of transformers will do whose last output is the score, such as the candidate generator that
Mind2Web was published with (Deng et al. 2023, section 3.1). The pair is worded as that one expects it: the task with
the last three actions, and the element with what is around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from agentx.errors import UserError
from agentx.tasks.environment import TaskDataError
from agentx.tasks.mind2web.page import ID, Element, find, page_text, parse_page, prune
from agentx.tasks.mind2web.samples import WebStep

_BATCH = 32
_TOKENS = 512
_REMEMBERED = 3
_AROUND, _WITHIN = 50, 100
"""words of what is around an element, the last ones, and of itself, the first ones"""


class CrossEncoder:
    """`source` is a directory or a name on the Hub. Raises UserError where no classifier can be loaded from it."""

    def __init__(self, source: str) -> None:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(source)
            self._model: Any = AutoModelForSequenceClassification.from_pretrained(source)
        except (OSError, ValueError, KeyError, ImportError) as error:
            reason = str(error).strip().splitlines()[0][:150] if str(error).strip() else type(error).__name__
            raise UserError(
                f"task.ranker={source}: no sequence classifier of transformers can be loaded from there ({reason})"
            ) from error
        self._model.to("cuda" if torch.cuda.is_available() else "cpu").eval()

    def rank(self, step: WebStep) -> WebStep:
        """The step with ranks from 0 for all its candidates; equal scores in the data's order. Raises TaskDataError
        for a page that is not well-formed or lacks a candidate."""
        page = parse_page(step.html, step.where)
        ids = (*step.positives, *step.negatives)
        nodes = find(page, ids)
        missing = next((node for node in ids if node not in nodes), None)
        if missing is not None:
            raise TaskDataError(f"{step.where}, field cleaned_html: has no node {missing}; leave the sample out")
        names = list(nodes)
        scores = self._scores(query(step), [described_around(page, nodes[name]) for name in names])
        order = sorted(range(len(names)), key=lambda index: (-scores[index], index))
        return replace(step, ranks={names[index]: rank for rank, index in enumerate(order)})

    def _scores(self, asked: str, elements: Sequence[str]) -> list[float]:
        return [score for batch in _batches(elements) for score in self._batch(asked, batch)]

    def _batch(self, asked: str, elements: Sequence[str]) -> list[float]:
        import torch

        most = min(_TOKENS, self._tokenizer.model_max_length)
        inputs = self._tokenizer(
            [asked] * len(elements), list(elements), padding=True, truncation=True, max_length=most, return_tensors="pt"
        ).to(self._model.device)
        with torch.no_grad():
            scores: list[float] = self._model(**inputs).logits[:, -1].float().tolist()
        return scores


def query(step: WebStep) -> str:
    """The task as the ranker reads it."""
    return f"task is: {step.task}\nPrevious actions: {'; '.join(step.previous[-_REMEMBERED:])}"


def described_around(page: Element, node: Element) -> str:
    """An element as the ranker reads it: its surroundings, then itself."""
    pruned = prune(page, [node])
    target = next(part for part in pruned.iter("*") if part.get(ID) is not None)
    itself, _ = page_text(target)
    parent = target.getparent()
    around = ""
    if parent is not None:
        parent.remove(target)
        around, _ = page_text(pruned)
    words = f"ancestors: {' '.join(around.split()[-_AROUND:])}\ntarget: {' '.join(itself.split()[:_WITHIN])}"
    # The ranker was trained on pages whose tags are written with parentheses.
    for pattern, written in ((r"</[^<>]*>|/>", ")"), (r"<", "("), (r">", " ")):
        words = re.sub(pattern, written, words)
    return words


def _batches(elements: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(elements), _BATCH):
        yield elements[first : first + _BATCH]
