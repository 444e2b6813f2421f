"""One question, one reply."""

from __future__ import annotations

from agentx.tasks.environment import Action, Observation, StepResult
from agentx.tasks.general.questions import Question, is_right
from agentx.tasks.general.settings import Settings
from agentx.trajectory import Outcome, Verdict


class GeneralEnvironment:
    """Satisfies `agentx.tasks.environment.Environment`.

    In the io style there is no format to miss: the reply as it is is the answer. In cot and react the answer is what
    the reply gives after ACTION:, and a reply without that is invalid_format. The reward is 1 for a right answer.
    `executed` is the text that was compared.
    """

    deterministic = True
    max_rounds = 1

    def __init__(self, question: Question, settings: Settings) -> None:
        self.task_statement = question.asked
        self._question = question
        self._settings = settings
        self._done = True

    async def reset(self) -> Observation:
        self._done = False
        return Observation(self._question.asked)

    async def step(self, action: Action) -> StepResult:
        if self._done:
            raise RuntimeError("the question was answered or never asked: call reset first")
        self._done = True
        settings = self._settings
        reply = action.raw if settings.style == "io" else action.text
        if reply is None:
            return StepResult(Observation(""), 0.0, True, Verdict.INVALID_FORMAT, Outcome.INVALID_FORMAT)
        right = is_right(
            self._question, reply, ignore_case=settings.ignore_case, ignore_punctuation=settings.ignore_punctuation
        )
        return StepResult(Observation(""), float(right), True, Verdict.VALID, Outcome.COMPLETED, executed=reply)

    async def fork(self) -> GeneralEnvironment:
        other = GeneralEnvironment(self._question, self._settings)
        other._done = self._done
        return other

    async def close(self) -> None:
        self._done = True
