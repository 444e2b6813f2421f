"""One episode in progress: asks the models, records every call, keeps the budget."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentx.conversation import Message
from agentx.models.chat import ContextOverflow, Request, Roles, Sampling
from agentx.models.trimming import trim
from agentx.reasoning.budget import Budget
from agentx.reasoning.settings import BudgetSettings, MethodSettings
from agentx.reasoning.styles import ParsedReply, Style, normalise
from agentx.tasks.environment import Action, Environment, StepResult
from agentx.trajectory import Candidate, ModelCall, Path, Purpose, Step, Trajectory

LOOP_LENGTH = 3
"""as many equal actions in a row make a loop"""


@dataclass(frozen=True)
class EpisodeContext:
    """Which episode this is and how its prompt begins. `opening` is `Task.opening(...)`: the first observation is
    put after it. `success_threshold` is the task's; `metadata` goes into the trajectory as it is."""

    run_seed: int
    sample_id: str
    trial: int
    opening: Sequence[Message]
    success_threshold: float = 1.0
    metadata: dict[str, Any] = field(default_factory=dict)


class Episode:
    """What search, judge and planner share: settings, models, budget and the record they write."""

    def __init__(
        self,
        settings: MethodSettings,
        roles: Roles,
        budget: BudgetSettings,
        context: EpisodeContext,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.roles = roles
        self.context = context
        self.budget = Budget(budget, clock)
        self.style = Style(settings.style, multiline=settings.multiline_actions)
        self.trajectory = Trajectory(context.sample_id, context.trial, metadata=dict(context.metadata))

    def notice(self, name: str, step: Step | None = None) -> None:
        """Count something worth knowing, at its step where it belongs to one."""
        self.trajectory.count(name)
        if step is not None:
            step.notices.append(name)

    async def ask(
        self, role: str, purpose: Purpose, messages: Sequence[Message], sampling: Sampling, *, path: int, step: int
    ) -> str:
        """One model call, recorded. Raises BudgetExhausted, ContextOverflow, BackendError."""
        self.budget.before_calls()
        return await self._call(self._request(role, purpose, path, step), messages, sampling)

    async def propose(self, messages: Sequence[Message], *, path: int, step: int, greedy: bool) -> list[Candidate]:
        """num_branch replies to one prompt, asked at once. The first is decoded as without branching (at
        `policy_temperature`, or sampled where not `greedy`); the others are sampled."""
        settings = self.settings
        number = settings.num_branch
        self.budget.before_calls(number)
        messages = self._fitting(messages)
        first = settings.policy_temperature if greedy else settings.temperature
        temperatures = [first, *[settings.temperature] * (number - 1)]
        before = len(self.trajectory.calls)
        try:
            replies = await _together(
                [
                    self._call(
                        self._request("policy", Purpose.ACT, path, step, branch), messages, self._sampling(temperature)
                    )
                    for branch, temperature in enumerate(temperatures)
                ]
            )
        finally:
            self.trajectory.calls[before:] = sorted(self.trajectory.calls[before:], key=lambda call: call.branch)
        return self._candidates(replies)

    def _fitting(self, messages: Sequence[Message]) -> Sequence[Message]:
        """`messages`, or what `method.long_history=trim` leaves of them so that the longest reply has room. What cannot
        be shortened so far stays: the reply gets what room there is, and without any the model says so."""
        if self.settings.long_history != "trim":
            return messages
        model = self.roles.policy
        try:
            shorter = trim(messages, model.context_length - self.settings.max_tokens.action, model.count_tokens)
        except ContextOverflow:
            return messages
        if len(shorter) < len(messages):
            self.notice("history_trimmed")
        return shorter

    def _request(self, role: str, purpose: Purpose, path: int, step: int, branch: int = 0) -> Request:
        context = self.context
        return Request(context.run_seed, context.sample_id, context.trial, path, step, branch, role, purpose)

    async def _call(self, request: Request, messages: Sequence[Message], sampling: Sampling) -> str:
        self.budget.calls += 1
        try:
            async with asyncio.timeout(self.budget.seconds_left) as deadline:
                completion = await self.roles.by_name[request.role].generate(messages, sampling, request)
        except TimeoutError:
            if deadline.expired():
                raise self.budget.out_of_time() from None
            raise
        self.budget.tokens += completion.prompt_tokens + completion.completion_tokens
        self.trajectory.calls.append(
            ModelCall(
                purpose=request.purpose,
                role=request.role,
                path=request.path,
                step=request.step,
                branch=request.branch,
                seed=request.seed,
                text=completion.text,
                prompt_tokens=completion.prompt_tokens,
                cached_tokens=completion.cached_tokens,
                completion_tokens=completion.completion_tokens,
                seconds=completion.seconds,
                finish_reason=completion.finish_reason,
                from_cache=completion.from_cache,
                estimated=completion.estimated,
                messages=None if request.purpose is Purpose.ACT else [message.to_dict() for message in messages],
            )
        )
        return completion.text

    def _sampling(self, temperature: float) -> Sampling:
        top_p = self.settings.top_p if temperature > 0 else 1.0
        return Sampling(temperature, top_p, self.settings.max_tokens.action)

    def _candidates(self, replies: Sequence[str]) -> list[Candidate]:
        candidates: list[Candidate] = []
        seen: set[str] = set()
        for reply in replies:
            parsed = self.style.parse(reply)
            key = None if parsed.action is None else self.normalise(parsed.action)
            candidates.append(Candidate(reply, parsed.action, parsed.thought, list(parsed.forgiven), key in seen))
            if key is not None:
                seen.add(key)
            for deviation in parsed.forgiven:
                self.notice(f"forgiven:{deviation}")
        return candidates

    def normalise(self, action: str) -> str:
        return normalise(action, multiline=self.settings.multiline_actions)

    async def act(self, environment: Environment, candidate: Candidate) -> StepResult:
        """One environment step within the budget."""
        self.budget.before_step()
        self.budget.steps += 1
        return await environment.step(Action(candidate.action, candidate.reply))

    def record(self, index: int, candidates: list[Candidate], chosen: int, result: StepResult) -> Step:
        step = Step(
            index,
            candidates,
            chosen,
            result.observation.text,
            result.reward,
            result.done,
            result.verdict,
            executed=result.executed,
            fresh=result.observation.fresh,
        )
        for name in result.notices:
            self.notice(name, step)
        return step

    def note_loop(self, steps: Sequence[Step]) -> None:
        """Count a loop at the newest of `steps` where it repeats the action of the two before it."""
        if len(steps) < LOOP_LENGTH:
            return
        latest = [step.candidate.action for step in steps[-LOOP_LENGTH:]]
        actions = {None if action is None else self.normalise(action) for action in latest}
        if len(actions) == 1 and None not in actions:
            self.notice("loop", steps[-1])

    def history_text(self, candidate: Candidate) -> str:
        return self.style.history_text(candidate.reply, ParsedReply(candidate.action, candidate.thought))


def end_path(path: Path, result: StepResult) -> None:
    """The environment ended the path. Raises RuntimeError where it does not say how."""
    if result.outcome is None:
        raise RuntimeError("the environment is done without an outcome")
    path.outcome = result.outcome


def distinct(candidates: Sequence[Candidate]) -> list[int]:
    """Indices of the candidates worth choosing from: each action once, replies without an action only where there is
    nothing else (then the first)."""
    indices = [i for i, candidate in enumerate(candidates) if candidate.action is not None and not candidate.duplicate]
    return indices or [0]


async def _together(calls: Sequence[Coroutine[Any, Any, str]]) -> list[str]:
    """All results in order; when one fails, or the caller is cancelled, the others are cancelled and waited for."""
    if len(calls) == 1:
        return [await calls[0]]
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
