"""A reasoning method, ready to solve episodes."""

from __future__ import annotations

import time
from collections.abc import Callable

from agentx.models.chat import Roles
from agentx.reasoning.budget import BudgetExhausted
from agentx.reasoning.episode import Episode, EpisodeContext
from agentx.reasoning.search import search
from agentx.reasoning.selection import eligible, select
from agentx.reasoning.settings import BudgetSettings, MethodSettings
from agentx.reasoning.styles import Style
from agentx.reasoning.tree import leaves, tree_search
from agentx.tasks.environment import Environment
from agentx.trajectory import Outcome, Trajectory

__all__ = ["EpisodeContext", "Method"]


class Method:
    """Solves episodes as its settings say. Has no state of its own: one instance serves concurrent episodes."""

    def __init__(self, settings: MethodSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self.style = Style(settings.style, multiline=settings.multiline_actions)
        self._clock = clock

    async def solve(
        self, environment: Environment, roles: Roles, budget: BudgetSettings, context: EpisodeContext
    ) -> Trajectory:
        """One episode, from `environment.reset()` to the path that counts.

        `reward` is that of the selected path; `outcome` too, unless the budget ran out (then `budget`, with `limit`
        saying which; finished paths still count). The environment belongs to the caller, who closes it; forks made
        here are closed on every way out, cancellation included. Raises BackendError for the runner to retry, and
        UserError where a tree search meets an environment whose states cannot be restored.
        """
        episode = Episode(self.settings, roles, budget, context, self._clock)
        trajectory = episode.trajectory
        is_tree = self.settings.tree.strategy != "none"
        try:
            if is_tree:
                await tree_search(episode, environment)
            else:
                await search(episode, environment)
        except BudgetExhausted as exhausted:
            trajectory.limit = exhausted.limit
        competing = leaves(trajectory.paths) if is_tree else eligible(trajectory.paths)
        counting = select(competing, self.settings.backtrack.final)
        trajectory.selected = counting.index
        trajectory.reward = counting.reward
        trajectory.outcome = Outcome.BUDGET if trajectory.limit else counting.outcome
        trajectory.success = counting.reward >= context.success_threshold
        trajectory.seconds = episode.budget.seconds
        return trajectory
