"""The task's own prompts: instruction, worked examples and the wording of questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from agentx.conversation import Message
from agentx.errors import ConfigError
from agentx.tasks.environment import Observation
from agentx.tasks.mind2web.answers import LETTERS, NONE, written
from agentx.tasks.mind2web.page import find, page_text, parse_page, prune
from agentx.tasks.mind2web.samples import WebStep
from agentx.tasks.mind2web.settings import Prompt
from agentx.tasks.replies import STYLES, reply

MOST_SHOTS = 5
REMEMBERED = 5
"""previous actions a question tells of"""


@dataclass(frozen=True)
class Question:
    """One round as it is asked: the pruned page and, in document order, (node id, text) of each choice from B on."""

    step: WebStep
    page: str
    choices: tuple[tuple[str, str], ...]
    first: bool
    """whether it is the episode's first"""


@dataclass(frozen=True)
class Decision:
    """What the expert answers to a question."""

    letter: str
    action: str


def decide(question: Question) -> Decision:
    """The right answer: the first choice that is a right element, A where there is none."""
    for letter, (node, _) in zip(LETTERS[1:], question.choices, strict=False):
        if node in question.step.positives:
            return Decision(letter, question.step.target)
    return Decision(NONE, "")


def observe(question: Question) -> Observation:
    """The question in our own words. The page leaves the dialogue with the next answer; task and earlier actions are
    said once."""
    texts, step = _texts()["question"], question.step
    previous = "; ".join(step.previous[-REMEMBERED:]) or texts["nothing"]
    lines = [texts["task"].format(task=step.task), texts["before"].format(previous=previous), texts["first"]]
    if not question.first:
        lines = [texts["other"]]
    lines.append(texts["none"])
    lines += [f"{letter}. {text}" for letter, (_, text) in zip(LETTERS[1:], question.choices, strict=False)]
    return Observation("\n".join(lines), texts["page"].format(page=question.page))


def statement(step: WebStep) -> str:
    """What planner and judge are told the task is."""
    return _texts()["statement"].format(task=step.task)


def expert_reply(question: Question, decision: Decision, style: str) -> str:
    """A decision as the style writes it, with the expert's reasons."""
    step = question.step
    if decision == decide(question):
        _, _, what = step.in_words.partition("]")
        kind = "here" if decision.letter != NONE else "absent"
        words = {"count": str(len(step.previous)), "letter": decision.letter}
        words["what"] = " ".join(what.replace(" -> ", ", ").split())
        reason = _texts()["thought" if style == "react" else "reasoning"][kind].format(**words)
    else:
        reason = _texts()["reasoning"]["wrong"].format(letter=decision.letter)
    return reply(style, reason, reason, written(decision.letter, decision.action))


def plan_line() -> str:
    """The expert's plan for one action."""
    return _texts()["plan"]


def opening(style: str, shots: int, prompt: Prompt, examples: Sequence[WebStep]) -> list[Message]:
    """The messages before the first question, which belongs into the last one where that is the user's. `examples`
    are steps of which the first `shots` are shown with all their choices in one question.

    Raises ConfigError on an unknown style and on shots that cannot be had.
    """
    if style not in STYLES:
        raise ConfigError(f"method.style={style}: must be one of {', '.join(STYLES)}")
    texts = _texts()
    if prompt == "compact":
        if shots:
            raise ConfigError(f"method.shots={shots}: task.prompt=compact has no examples, use method.shots=0")
        return [Message("user", texts["compact"][style])]
    if not 0 <= shots <= len(examples):
        raise ConfigError(f"method.shots={shots}: the mind2web task has 0 to {len(examples)} worked examples")
    plain = texts["plain"]
    messages = [
        Message("user", plain["instruction"].format(format=texts["formats"][style])),
        Message("assistant", plain["acknowledgement"]),
    ]
    for step in examples[:shots]:
        question = _example(step)
        asked = f"{plain['example']}\n{observe(question).shown}"
        messages += [Message("user", asked), Message("assistant", expert_reply(question, decide(question), style))]
    if shots:
        messages.append(Message("user", plain["next"]))
    return messages


def _example(step: WebStep) -> Question:
    """A question with the right element and the best ranked wrong ones."""
    positives, negatives = step.candidates(len(LETTERS) + 1)
    page = parse_page(step.html, step.where)
    nodes = find(page, [*positives[:1], *negatives[: len(LETTERS) - 2]])
    text, choices = page_text(prune(page, list(nodes.values())))
    return Question(step, text, tuple(choices), first=True)


@cache
def _texts() -> dict[str, Any]:
    return yaml.safe_load(resources.files(__package__).joinpath("prompts.yaml").read_text(encoding="utf-8"))
