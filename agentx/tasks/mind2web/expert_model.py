"""The Mind2Web expert as a chat model: it answers, plans and judges while a real reasoning method runs."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from agentx.conversation import Message
from agentx.models.chat import Request
from agentx.tasks.demonstration import ScriptedModel
from agentx.tasks.mind2web.answers import LETTERS, NONE, read_action
from agentx.tasks.mind2web.environment import Mind2WebEnvironment
from agentx.tasks.mind2web.prompts import Decision, Question, decide, expert_reply, plan_line
from agentx.tasks.mind2web.samples import WebStep, action_f1
from agentx.trajectory import Purpose

_NUMBERED = re.compile(r"^\s*(\d+)[.)]\s+(.+?)\s*$", re.MULTILINE)
_ASTRAY = 0.7
_OTHER_BRANCH = 0.5


class ExpertModel(ScriptedModel):
    """A ChatModel for one episode in one environment; implements `agentx.models.chat.ChatModel`.

    It knows the environment's true state. Wrong answers are seeded and recorded in `strayed` as (path, step, branch):
    with probability `mistakes`; mostly on the first `weak_paths` paths; and as the first of several candidates at a
    share `contested` of the steps. Tree search is not served: its states are not the environment's current one.
    """

    def __init__(
        self,
        environment: Mind2WebEnvironment,
        step: WebStep,
        style: str,
        *,
        mistakes: float = 0.0,
        weak_paths: int = 0,
        contested: float = 0.0,
    ) -> None:
        super().__init__("mind2web-expert")
        self._environment = environment
        self._step = step
        self._style = style
        self._mistakes = mistakes
        self._weak_paths = weak_paths
        self._contested = contested
        self._ended: dict[int, float] = {}

    def reply(self, messages: Sequence[Message], request: Request) -> str:
        asked = messages[-1].content
        if request.purpose is Purpose.ACT:
            return self._act(request)
        if request.purpose is Purpose.PLAN:
            return f"1. {plan_line()}"
        if request.purpose is Purpose.PICK:
            return str(self._pick(asked))
        if request.purpose is Purpose.SCORE:
            return str(round(10 * self._ended.get(request.path, self._progress())))
        if request.purpose is Purpose.TASK_DONE:
            self._ended[request.path] = self._progress()
        return "Yes" if self._progress() >= 1 else "No"

    def _act(self, request: Request) -> str:
        question = self._question()
        decision = decide(question)
        rng = random.Random(request.seed)
        step = random.Random(f"{self._step.id}/{request.path}/{request.step}")
        if step.random() < self._contested:
            wrong = request.branch == 0
        elif request.branch:
            wrong = rng.random() < _OTHER_BRANCH
        else:
            wrong = rng.random() < (_ASTRAY if request.path < self._weak_paths else self._mistakes)
        if wrong:
            self.strayed.add((request.path, request.step, request.branch))
            decision = _stray(question, decision, rng)
        return expert_reply(question, decision, self._style)

    def _pick(self, asked: str) -> int:
        """The candidate that is right, else one that names the right letter, else the first."""
        # The candidates are the last run of lines numbered from 1; nothing before them is one.
        options: dict[int, str] = {}
        for number, action in _NUMBERED.findall(asked):
            if int(number) == 1:
                options = {}
            options[int(number)] = action
        right = decide(self._question())

        def rank(number: int) -> tuple[int, int]:
            answer = read_action(options[number])
            same = answer.letter == right.letter
            exact = same and action_f1(answer.action, right.action) >= 1
            return (0 if exact else 1 if same else 2), number

        return min(options, key=rank, default=1)

    def _progress(self) -> float:
        """1 when the pick is right, in part while a right element can still be chosen."""
        rounds = self._environment.rounds
        if rounds is None:
            return 0.0
        over = not rounds.batch
        pick = rounds.prediction if over else rounds.pick
        if pick is not None and pick.element in self._step.positives:
            return 1.0 if action_f1(pick.action, self._step.target) >= 1 else 0.5
        waiting = () if over else (*rounds.batch, *rounds.queue)
        return 0.3 if set(waiting) & set(self._step.positives) else 0.0

    def _question(self) -> Question:
        question = self._environment.question
        if question is None:
            raise RuntimeError("the expert was asked to act after the episode was over")
        return question


def _stray(question: Question, right: Decision, rng: random.Random) -> Decision:
    """Another letter than the right one, with an operation that its element could be meant for."""
    letters = [NONE, *LETTERS[1 : len(question.choices) + 1]]
    letter = rng.choice([other for other in letters if other != right.letter])
    if letter == NONE:
        return Decision(NONE, "")
    text = question.choices[LETTERS.index(letter) - 1][1]
    same = text.startswith(("<input", "<select")) and question.step.operation != "CLICK"
    return Decision(letter, question.step.target if same else "CLICK ")
