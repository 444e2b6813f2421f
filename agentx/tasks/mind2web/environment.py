"""One Mind2Web step in play: rounds of multiple choice until one element is left over."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from agentx.tasks.environment import Action, Observation, StepResult, TaskDataError
from agentx.tasks.mind2web.answers import LETTERS, NONE, Answer, read_action, read_agentbench
from agentx.tasks.mind2web.page import Element, find, page_text, parse_page, prune
from agentx.tasks.mind2web.prompts import Question, statement
from agentx.tasks.mind2web.rounds import NOTHING, Rounds, most_rounds
from agentx.tasks.mind2web.samples import WebStep, score
from agentx.tasks.mind2web.settings import Settings
from agentx.trajectory import Outcome, Verdict


def candidate_order(step: WebStep, settings: Settings) -> list[str]:
    """The candidates in the order in which they are asked about: shuffled by the seed and the sample alone, where
    the original's order depends on which samples ran before."""
    positives, negatives = step.candidates(settings.top_k)
    order = positives + negatives
    random.Random(f"{settings.seed}/{step.id}").shuffle(order)
    return order


class Mind2WebEnvironment:
    """Satisfies `agentx.tasks.environment.Environment`. Each environment step answers one question.

    The reward is 1 when the prediction that stands names a right element and exactly the right words, else 0; a
    context that overflows later leaves it at that, as in the original. No prediction at the end is invalid_action.
    Where no right element is a candidate, or nothing would be asked (one candidate, faithful rules), the first
    question is asked, its answer cannot count and the episode ends; both are noticed. `executed` is the prediction
    that stands after the answer: node id and action text, or ''.
    """

    deterministic = True

    def __init__(
        self, step: WebStep, settings: Settings, ask: Callable[[Question], Observation], order: list[str] | None = None
    ) -> None:
        """`order`: the candidates as they are asked about, instead of `candidate_order`."""
        self.keeps_replies = settings.replies == "agentbench"
        self._step = step
        self._settings = settings
        self._ask = ask
        self._order = candidate_order(step, settings) if order is None else order
        self._reachable = bool(step.candidates(settings.top_k)[0])
        self.task_statement = statement(step)
        self.max_rounds = most_rounds(len(self._order), settings.choices)
        self._page: Element | None = None
        self._nodes: dict[str, Element] = {}
        self._rounds: Rounds | None = None
        self._answered = 0
        self._question: Question | None = None

    async def reset(self) -> Observation:
        """Raises TaskDataError for a page that is not well-formed or lacks a candidate."""
        if self._page is None:
            page = parse_page(self._step.html, self._step.where)
            self._nodes = find(page, self._order)
            missing = next((node for node in self._order if node not in self._nodes), None)
            if missing is not None:
                raise TaskDataError(
                    f"{self._step.where}, field cleaned_html: has no node {missing}; leave the sample out"
                )
            self._page = page
        self._rounds = Rounds.start(self._order, self._settings.choices, self._settings.rules)
        self._answered = 0
        return self._put_question()

    async def step(self, action: Action) -> StepResult:
        if self._rounds is None or self._question is None:
            raise RuntimeError("the episode is over or was never started: call reset first")
        answer = self._read(action)
        element, verdict, notices = self._chosen(answer)
        self._answered += 1
        counts = self._reachable and bool(self._rounds.batch)
        rounds = self._rounds.answer(element, answer.action) if counts else replace(self._rounds, batch=())
        if not self._reachable:
            notices.append("unscorable")
        elif not self._rounds.batch:
            notices.append("never_asked")
        self._rounds = rounds
        done = not rounds.batch
        outcome = None
        if done:
            void = self._reachable and rounds.prediction == NOTHING
            outcome = Outcome.INVALID_ACTION if void else Outcome.COMPLETED
            self._question = None
        return StepResult(
            observation=Observation("") if done else self._put_question(),
            reward=score(self._step, rounds.prediction, self._settings.top_k).step,
            done=done,
            verdict=verdict,
            outcome=outcome,
            executed=f"{rounds.prediction.element} {rounds.prediction.action}".strip(),
            notices=tuple(notices),
        )

    async def fork(self) -> Mind2WebEnvironment:
        """A copy in the same state; the page is shared, nothing changes it."""
        if self._rounds is None:
            raise RuntimeError("the episode was never started: call reset first")
        other = Mind2WebEnvironment(self._step, self._settings, self._ask, self._order)
        other._page, other._nodes = self._page, self._nodes
        other._rounds, other._answered, other._question = self._rounds, self._answered, self._question
        return other

    async def close(self) -> None:
        self._page, self._nodes = None, {}
        self._rounds = self._question = None

    @property
    def question(self) -> Question | None:
        """What is being asked; None when the episode is over."""
        return self._question

    @property
    def rounds(self) -> Rounds | None:
        """Where the questioning stands."""
        return self._rounds

    def _put_question(self) -> Observation:
        assert self._page is not None and self._rounds is not None
        batch = self._rounds.batch or self._rounds.queue[: self._settings.choices]
        page, choices = page_text(prune(self._page, [self._nodes[node] for node in batch]))
        self._question = Question(self._step, page, tuple(choices), first=self._answered == 0)
        return self._ask(self._question)

    def _read(self, action: Action) -> Answer:
        if self._settings.replies == "agentbench":
            return read_agentbench(action.raw, whole_letters=self._settings.rules == "corrected")
        return read_action(action.text)

    def _chosen(self, answer: Answer) -> tuple[str | None, Verdict, list[str]]:
        """The element chosen, None for none; a reply without a letter, or with one beyond the choices, is none."""
        assert self._question is not None
        notices = list(answer.notices)
        if not answer.readable:
            return None, Verdict.INVALID_FORMAT, [*notices, "counted_as_none"]
        if answer.letter == NONE:
            return None, Verdict.VALID, notices
        number = LETTERS.index(answer.letter) - 1
        if number >= len(self._question.choices):
            return None, Verdict.HALLUCINATED, [*notices, "no_such_choice"]
        return self._question.choices[number][0], Verdict.VALID, notices
