"""The search around a prompting style: paths over subtasks over steps over candidates.

One procedure serves io, cot, react, decompose, branch, backtrack, best_of_n and ours: each is a setting of three
switches that know nothing of each other (the paper's section on multi-path reasoning and task decomposition).
"""

from __future__ import annotations

from collections.abc import Sequence

from agentx.conversation import Message
from agentx.models.chat import ContextOverflow
from agentx.reasoning.backtracking import account, backtracking_prompt, newest_that_fit
from agentx.reasoning.decomposition import announcement, plan, whole_task
from agentx.reasoning.episode import Episode, distinct, end_path
from agentx.reasoning.history import History
from agentx.reasoning.judge import Judge
from agentx.reasoning.selection import eligible, leaders
from agentx.tasks.environment import Environment, Observation
from agentx.trajectory import Outcome, Path, Step

FULL_REWARD = 1.0 - 1e-9
"""signal=env_reward calls a path good at reward 1, allowing for rounding"""


async def search(episode: Episode, environment: Environment) -> None:
    """Run up to num_path paths into `episode.trajectory.paths`, each to its end before the next begins.

    A path under way when BudgetExhausted passes through here stays there with outcome budget. Raises what the
    environment and the models raise, ContextOverflow of the policy excepted: that ends the path.
    """
    settings = episode.settings
    paths = episode.trajectory.paths
    subtasks: list[str] = []
    for index in range(settings.num_path):
        path = Path(index, [], outcome=Outcome.BUDGET)
        paths.append(path)
        observation = await environment.reset()
        task = environment.task_statement
        if settings.decompose.enabled and (index == 0 or settings.decompose.replan):
            subtasks = await plan(episode, task, path=index, earlier=_seen_by_planner(episode, paths[:-1]))
        path.subtasks = list(subtasks)
        judge = Judge(episode, task, observation.text)
        try:
            await _walk(episode, environment, path, _begin(episode, path, observation, task), judge, task)
        except ContextOverflow:
            path.outcome = Outcome.CONTEXT_LIMIT
        if await _good_enough(episode, path, judge) and settings.backtrack.stop_early:
            break
    await _score_ties(episode, judge)


def _begin(episode: Episode, path: Path, observation: Observation, task: str) -> History:
    """The task prompt and, after the first path, the backtracking prompt."""
    history = History(episode.context.opening, observation)
    earlier = episode.trajectory.paths[: path.index]
    options = episode.settings.backtrack
    if not (options.enabled and earlier):
        return history

    def compose(lines: Sequence[str]) -> Sequence[Message]:
        draft = history.copy()
        draft.announce(backtracking_prompt(task, lines))
        return draft.messages

    lines = newest_that_fit(
        account(earlier, options.observation_chars), compose, episode.roles.policy, options.context_share
    )
    history.announce(backtracking_prompt(task, lines))
    return history


def _seen_by_planner(episode: Episode, earlier: list[Path]) -> list[str]:
    return account(earlier, episode.settings.backtrack.observation_chars)


async def _walk(
    episode: Episode, environment: Environment, path: Path, history: History, judge: Judge, task: str
) -> None:
    """One path: each subtask until the judge says it is done, then the whole task until the environment ends it.

    No subtask is left to judge in the last phase, so that a judge's mistake cannot forfeit the remaining rounds; nor
    after the environment has ended, when the answer could change nothing.
    """
    for position in [*range(len(path.subtasks)), None]:
        if position is not None:
            history.announce(announcement(position, path.subtasks))
        elif path.subtasks:
            history.announce(whole_task(task))
        if not path.opening:
            path.opening = [message.to_dict() for message in history.messages]
        subtask = None if position is None else path.subtasks[position]
        while True:
            if len(path.steps) >= environment.max_rounds:
                path.outcome = Outcome.TASK_LIMIT
                return
            step = await _take_step(episode, environment, path, history, judge, subtask)
            step.subtask = position
            if step.done:
                return
            if subtask is not None:
                step.subtask_done = await judge.subtask_done(subtask, path.steps, path=path.index)
                if step.subtask_done:
                    break


async def _take_step(
    episode: Episode, environment: Environment, path: Path, history: History, judge: Judge, subtask: str | None
) -> Step:
    """Propose, choose, act, record."""
    index = len(path.steps)
    greedy = path.index == 0 or episode.settings.backtrack.enabled
    candidates = await episode.propose(history.messages, path=path.index, step=index, greedy=greedy)
    options = distinct(candidates)
    pick: int | None = 0
    if len(options) > 1:
        actions = [candidates[option].action or "" for option in options]
        pick = await judge.pick(actions, subtask, path.steps, path=path.index)
    chosen = options[pick or 0]
    result = await episode.act(environment, candidates[chosen])
    step = episode.record(index, candidates, chosen, result)
    if pick is None:
        episode.notice("pick_unparsable", step)
    path.steps.append(step)
    path.reward = result.reward
    episode.note_loop(path.steps)
    if result.done:
        end_path(path, result)
    # A task whose replies have a format of its own says so: they stay as they are.
    keeps = getattr(environment, "keeps_replies", False)
    said = candidates[chosen].reply.strip() if keeps else episode.history_text(candidates[chosen])
    history.proceed(said, result.observation)
    return step


async def _good_enough(episode: Episode, path: Path, judge: Judge) -> bool:
    """Whether the path should be the last one. The judge is asked only where its verdict can matter: for stopping
    before another path, or for choosing among paths."""
    settings = episode.settings
    options = settings.backtrack
    by_judge = options.signal == "judge"
    stopping = by_judge and options.stop_early and path.index + 1 < settings.num_path
    choosing = options.final == "best_by_judge" and settings.num_path > 1
    if stopping or choosing:
        path.judged_success = await judge.task_done(path.steps, path.outcome, path=path.index)
    return bool(path.judged_success) if by_judge else path.reward >= FULL_REWARD


async def _score_ties(episode: Episode, judge: Judge) -> None:
    """final=best_by_judge: ask for marks where the verdicts leave several paths."""
    settings = episode.settings
    tied = leaders(eligible(episode.trajectory.paths))
    if settings.backtrack.final != "best_by_judge" or not settings.judge.score_ties or len(tied) < 2:
        return
    for path in tied:
        path.judged_score = await judge.score(path.steps, path=path.index, outcome=path.outcome)
