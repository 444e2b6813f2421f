"""The judge M_jdg: is the subtask done, is the task done, which candidate, how good is this state.

Answers have one strict form each. A back end that can is told which verdicts and picks there are and gives no other
(`method.judge.answers`); elsewhere the answer is parsed. One outside its form counts as No, as the first candidate or
as no mark, and is counted; so does a prompt that is too long for the judge.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentx.conversation import Message
from agentx.models.chat import ContextOverflow, Sampling
from agentx.reasoning import prompts
from agentx.reasoning.episode import Episode
from agentx.trajectory import Outcome, Purpose, Step

_VERDICT = re.compile(r"(yes|no)\b", re.IGNORECASE)
_NUMBER = re.compile(r"([0-9]{1,3})(?![0-9.,]?[0-9])")
_SCORE = re.compile(r"(10|[0-9])(\.[0-9]{1,3})?(?![0-9.]?[0-9])")
VERDICTS = ("Yes", "No")
_LEADING = " \t\r\n*_\"'`([#"


def parse_verdict(answer: str) -> bool | None:
    """True for an answer that begins with Yes, False for No, None for anything else."""
    match = _VERDICT.match(answer.lstrip(_LEADING))
    return None if match is None else match[1].lower() == "yes"


def parse_pick(answer: str, number: int) -> int | None:
    """Zero-based choice of an answer that begins with a number from 1 to `number`, else None."""
    match = _NUMBER.match(answer.lstrip(_LEADING))
    pick = int(match[1]) if match else 0
    return pick - 1 if 1 <= pick <= number else None


def parse_score(answer: str) -> float | None:
    """An answer that begins with a number from 0 to 10, scaled to [0, 1]; else None."""
    match = _SCORE.match(answer.lstrip(_LEADING))
    score = float(match[0]) if match else -1.0
    return score / 10 if 0 <= score <= 10 else None


class Judge:
    """Asks the judge role about one task. `start` is the first observation: it is shown while the path is shorter
    than `judge.history_steps`."""

    def __init__(self, episode: Episode, task: str, start: str) -> None:
        self._episode = episode
        self._task = task
        self._start = start

    async def subtask_done(self, subtask: str, steps: Sequence[Step], *, path: int) -> bool:
        lines = [*self._situation(steps, subtask), prompts.text("judge", "subtask_done")]
        answer = await self._ask(Purpose.SUBTASK_DONE, lines, path, steps[-1].index, VERDICTS)
        verdict = None if answer is None else parse_verdict(answer)
        if verdict is None:
            self._episode.notice("verdict_unparsable", steps[-1])
        return bool(verdict)

    async def task_done(self, steps: Sequence[Step], outcome: Outcome, *, path: int) -> bool:
        lines = [*self._situation(steps), self._end(outcome), prompts.text("judge", "task_done")]
        answer = await self._ask(Purpose.TASK_DONE, lines, path, len(steps), VERDICTS)
        verdict = None if answer is None else parse_verdict(answer)
        if verdict is None:
            self._episode.notice("verdict_unparsable")
        return bool(verdict)

    async def pick(
        self, actions: Sequence[str], subtask: str | None, steps: Sequence[Step], *, path: int
    ) -> int | None:
        """Index into `actions`, None when the answer names none of them."""
        numbered = [
            prompts.text("judge", "candidate", number=number, action=action) for number, action in enumerate(actions, 1)
        ]
        lines = [
            *self._situation(steps, subtask),
            prompts.text("judge", "candidates"),
            *numbered,
            prompts.text("judge", "pick"),
        ]
        numbers = tuple(str(number) for number in range(1, len(actions) + 1))
        answer = await self._ask(Purpose.PICK, lines, path, len(steps), numbers)
        return None if answer is None else parse_pick(answer, len(actions))

    async def score(self, steps: Sequence[Step], *, path: int, outcome: Outcome | None = None) -> float | None:
        """Mark in [0, 1] of the state after `steps` (`outcome`: of a path that ended so), None when unparsable."""
        end = [] if outcome is None else [self._end(outcome)]
        lines = [*self._situation(steps), *end, prompts.text("judge", "score")]
        answer = await self._ask(Purpose.SCORE, lines, path, len(steps))
        score = None if answer is None else parse_score(answer)
        if score is None:
            self._episode.notice("score_unparsable")
        return score

    def _end(self, outcome: Outcome) -> str:
        return prompts.text("judge", "end", end=prompts.text("ends", outcome))

    def _situation(self, steps: Sequence[Step], subtask: str | None = None) -> list[str]:
        options = self._episode.settings.judge
        lines = [prompts.text("judge", "preface"), prompts.text("judge", "task", task=self._task)]
        if subtask is not None:
            lines.append(prompts.text("judge", "subtask", subtask=subtask))
        if len(steps) < options.history_steps:
            start = prompts.one_line(self._start, options.observation_chars)
            lines.append(prompts.text("judge", "start", observation=start))
        for step in steps[-options.history_steps :]:
            action = step.candidate.action or prompts.text("judge", "no_action")
            observation = prompts.one_line(step.observation, options.observation_chars)
            lines.append(prompts.text("judge", "step", action=action, observation=observation))
        return lines

    async def _ask(
        self, purpose: Purpose, lines: Sequence[str], path: int, step: int, choices: tuple[str, ...] = ()
    ) -> str | None:
        limits = self._episode.settings.max_tokens
        longest = {Purpose.PICK: limits.pick, Purpose.SCORE: limits.score}.get(purpose, limits.verdict)
        messages = [Message("user", "\n".join(lines))]
        if self._episode.settings.judge.answers == "parsed":
            choices = ()
        sampling = Sampling(max_tokens=longest, choices=choices)
        try:
            return await self._episode.ask("judge", purpose, messages, sampling, path=path, step=step)
        except ContextOverflow:
            self._episode.notice("judge_overflow")
            return None
