"""The backtracking prompt: what earlier paths did, for a path that has to do something else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agentx.conversation import Message
from agentx.models.chat import ChatModel
from agentx.reasoning import prompts
from agentx.trajectory import Path


def account(paths: Sequence[Path], chars: int) -> list[str]:
    """One line for each path's end and each of its steps, newest first; actions and observations are cut to `chars`
    characters."""
    lines: list[str] = []
    for path in reversed(paths):
        lines.append(prompts.text("account", "end", path=path.index + 1, end=prompts.text("ends", path.outcome)))
        for step in reversed(path.steps):
            action = prompts.one_line(step.candidate.action or prompts.text("judge", "no_action"), chars)
            observation = prompts.one_line(step.observation, chars)
            lines.append(
                prompts.text(
                    "account",
                    "step",
                    path=path.index + 1,
                    step=step.index + 1,
                    action=action,
                    observation=observation,
                )
            )
    return lines


def backtracking_prompt(task: str, lines: Sequence[str]) -> str:
    return prompts.text("backtrack", task=task, account="\n".join(lines))


def newest_that_fit(
    lines: Sequence[str], compose: Callable[[Sequence[str]], Sequence[Message]], model: ChatModel, share: float
) -> list[str]:
    """As many of the newest lines as `compose(lines)` can carry without being longer than `compose([])` by more than
    `share` of the model's context; the cut is told. Counts tokens O(log n) times."""
    most = model.count_tokens(compose([])) + int(share * model.context_length)

    def shown(number: int) -> list[str]:
        kept = list(lines[:number])
        return kept if number == len(lines) else [*kept, prompts.text("account", "cut")]

    if model.count_tokens(compose(shown(len(lines)))) <= most:
        return list(lines)
    fits, fails = 0, len(lines)
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if model.count_tokens(compose(shown(middle))) <= most:
            fits = middle
        else:
            fails = middle
    return shown(fits)
