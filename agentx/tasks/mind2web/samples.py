"""A step of a Mind2Web task: the page, its candidates and the action that is right."""

from __future__ import annotations

from dataclasses import dataclass

from agentx.tasks.mind2web.rounds import Prediction

_OPERATIONS = ("CLICK", "SELECT", "TYPE")


@dataclass(frozen=True)
class WebStep:
    """One action of a recorded task. Elements are named by their backend_node_id; `ranks` has the rank of each
    candidate that was scored, from 0."""

    annotation_id: str
    action_uid: str
    website: str
    task: str
    previous: tuple[str, ...]
    """the actions before this one, in words"""
    in_words: str
    """this action, likewise: "[input]  city -> TYPE: Bath"; '' where the data do not say"""
    steps: int
    """how many steps its task has"""
    operation: str
    value: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...]
    html: str
    where: str
    """file and record, for error messages"""
    ranks: dict[str, int] | None = None

    @property
    def id(self) -> str:
        return f"{self.annotation_id}_{self.action_uid}"

    @property
    def target(self) -> str:
        """The action text that is right: a click has no value, of a value the first line counts."""
        operation = self.operation if self.operation in _OPERATIONS else ""
        value = "" if self.operation == "CLICK" else self.value.split("\n", 1)[0].strip()
        return f"{operation} {value}"

    def candidates(self, top_k: int) -> tuple[list[str], list[str]]:
        """Positives and negatives of the first `top_k` ranks, each in the data's order."""
        ranks = self.ranks or {}
        positives = [node for node in self.positives if ranks.get(node, top_k) < top_k]
        return positives, [node for node in self.negatives if ranks.get(node, top_k) < top_k]


@dataclass(frozen=True)
class Score:
    """What a prediction is worth, each in [0, 1] (Deng et al. 2023, section 4.1)."""

    element: float
    """whether the element is right"""
    action_f1: float
    """word overlap of the action with the right one, whatever the element"""

    @property
    def step(self) -> float:
        return float(self.element > 0 and self.action_f1 >= 1)


def score(step: WebStep, prediction: Prediction, top_k: int) -> Score:
    """Zero throughout where no right element is among the candidates."""
    positives, _ = step.candidates(top_k)
    if not positives:
        return Score(0.0, 0.0)
    return Score(float(prediction.element in positives), action_f1(prediction.action, step.target))


def action_f1(predicted: str, right: str) -> float:
    """F1 of the sets of words; 1 where both are empty."""
    given, wanted = set(predicted.split()), set(right.split())
    if not given and not wanted:
        return 1.0
    shared = len(given & wanted)
    if not shared:
        return 0.0
    precision, recall = shared / len(given), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)
