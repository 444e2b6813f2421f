"""A candidate ranking of our own: how well an element's text fits the task (BM25, Robertson & Zaragoza 2009)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice

from agentx.tasks.environment import TaskDataError
from agentx.tasks.mind2web.page import TEXT, Element, described, find, parse_page
from agentx.tasks.mind2web.samples import WebStep

_WORD = re.compile(r"[^\W_]+")
_PREFIX = 5
_SATURATION, _LENGTH = 1.2, 0.5
_NEIGHBOUR = 0.4
"""weight of the words beside an element (its label, mostly) against its own"""
_TAGS = {"input": 1.0, "select": 1.0, "textarea": 1.0, "button": 0.7, "option": 0.5}
"""what an element gains for being made to be used, in units of a rare word"""
_NODES, _WORDS = 60, 80


def rank_candidates(step: WebStep) -> WebStep:
    """The step with ranks from 0 for all its candidates; ties in document order. Raises TaskDataError for a page
    that is not well-formed or lacks a candidate."""
    ids = (*step.positives, *step.negatives)
    nodes = find(parse_page(step.html, step.where), ids)
    missing = next((node for node in ids if node not in nodes), None)
    if missing is not None:
        raise TaskDataError(f"{step.where}, field cleaned_html: has no node {missing}; leave the sample out")
    scores = _scores(f"{step.website} {step.task}", list(nodes.values()))
    order = sorted(zip(scores, range(len(nodes)), nodes, strict=True), key=lambda entry: (-entry[0], entry[1]))
    return replace(step, ranks={node: rank for rank, (_, _, node) in enumerate(order)})


def recall(steps: Sequence[WebStep], top_k: int) -> float:
    """Share of the steps with a right element among the first `top_k` candidates."""
    return sum(bool(step.candidates(top_k)[0]) for step in steps) / len(steps) if steps else 0.0


def _scores(task: str, nodes: Sequence[Element]) -> list[float]:
    query = set(_terms([task]))
    documents = []
    for node in nodes:
        weights = {term: float(count) for term, count in Counter(_terms(_own_text(node))).items()}
        for term in set(_terms(_beside(node))):
            weights[term] = weights.get(term, 0.0) + _NEIGHBOUR
        documents.append(weights)
    total = len(documents)
    frequency = Counter(term for document in documents for term in document)
    mean = sum(sum(document.values()) for document in documents) / max(total, 1) or 1.0
    scores = []
    for node, document in zip(nodes, documents, strict=True):
        length = 1 - _LENGTH + _LENGTH * sum(document.values()) / mean
        fit = sum(
            math.log(1 + (total - frequency[term] + 0.5) / (frequency[term] + 0.5))
            * document[term]
            * (1 + _SATURATION)
            / (document[term] + _SATURATION * length)
            for term in query & document.keys()
        )
        scores.append(fit + _TAGS.get(str(node.tag), 0.0))
    return scores


def _terms(texts: Iterable[str]) -> list[str]:
    """Lower-case words cut to a prefix, which takes the place of stemming."""
    return [word[:_PREFIX] for text in texts for word in _WORD.findall(text[:2000].lower())][:_WORDS]


def _own_text(node: Element) -> Iterable[str]:
    for part in islice(node.iter("*"), _NODES):
        yield (part.text or "") if part.tag == TEXT else " ".join(described(part))


def _beside(node: Element) -> Iterable[str]:
    before = next(node.itersiblings("*", preceding=True), None)
    if before is not None and before.tag not in _TAGS:
        yield from _own_text(before)
    parent = node.getparent()
    if parent is not None:
        yield " ".join(described(parent))
