"""Task decomposition: the planner M_p lists at most k subtasks (the paper's section on decomposition)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentx.conversation import Message
from agentx.models.chat import ContextOverflow, Sampling
from agentx.reasoning import prompts
from agentx.reasoning.episode import Episode
from agentx.trajectory import Purpose

_ITEM = re.compile(r"\s{0,8}([0-9]{1,2})[.)][ \t]+(\S.*)")


def parse_plan(answer: str, most: int) -> list[str]:
    """The items of the list numbered 1, 2, 3 … in `answer`; those beyond `most` are merged into the last one. Empty
    where there is no such list."""
    items: list[str] = []
    for line in answer.splitlines():
        match = _ITEM.match(line)
        if match and int(match[1]) == len(items) + 1:
            items.append(" ".join(match[2].split()))
    return items if len(items) <= most else [*items[: most - 1], "; then ".join(items[most - 1 :])]


async def plan(episode: Episode, task: str, *, path: int, earlier: Sequence[str] = ()) -> list[str]:
    """Subtasks of `task`; the task itself where the planner gives no usable list (counted). `earlier` are the account
    lines of failed paths, for planning again."""
    most = episode.settings.decompose.max_subtasks
    seen = prompts.text("plan_earlier", account="\n".join(earlier)) + "\n" if earlier else ""
    messages = [Message("user", prompts.text("plan", task=task, most=most, earlier=seen))]
    sampling = Sampling(max_tokens=episode.settings.max_tokens.plan)
    try:
        answer = await episode.ask("planner", Purpose.PLAN, messages, sampling, path=path, step=0)
    except ContextOverflow:
        episode.notice("planner_overflow")
        answer = ""
    subtasks = parse_plan(answer, most)
    if not subtasks:
        episode.notice("planner_unparsable")
    return subtasks or [task]


def announcement(position: int, subtasks: Sequence[str]) -> str:
    """What tells the policy that a subtask begins."""
    return prompts.text("announce", "subtask", number=position + 1, total=len(subtasks), subtask=subtasks[position])


def whole_task(task: str) -> str:
    """What tells the policy that the subtasks are behind it."""
    return prompts.text("announce", "whole", task=task)
