"""Options of the reasoning methods and of the episode's budget; imports nothing heavy."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field

from agentx.errors import ConfigError

STYLES = ("io", "cot", "react")
SIGNALS = ("judge", "env_reward")
FINALS = ("last", "best_by_judge", "best_by_reward")
STRATEGIES = ("none", "bfs", "dfs")
ANSWERS = ("auto", "parsed")
LONG_HISTORIES = ("end", "trim")


def _one_of(option: str, value: str, allowed: Sequence[str]) -> None:
    if value in allowed:
        return
    near = difflib.get_close_matches(str(value), allowed, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ConfigError(f"{option}={value}: must be one of {', '.join(allowed)}{hint}")


def _at_least(option: str, value: float, least: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{option}={value!r}: must be a number")
    if not value >= least:
        raise ConfigError(f"{option}={value}: must be at least {least}")


def _between(option: str, value: float, least: float, most: float) -> None:
    _at_least(option, value, least)
    if not value <= most:
        raise ConfigError(f"{option}={value}: must be at most {most}")


@dataclass
class ReplyTokens:
    """Longest replies, in tokens of the model that is asked."""

    action: int = 256
    """the policy's reply"""
    plan: int = 128
    """the planner's list of subtasks"""
    verdict: int = 8
    """the judge's Yes or No"""
    pick: int = 8
    """the judge's choice among candidates"""
    score: int = 8
    """the judge's mark from 0 to 10"""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            _at_least(f"method.max_tokens.{name}", value, 1)


@dataclass
class DecomposeSettings:
    """Task decomposition: a planner splits the task, a judge says when a subtask is done."""

    enabled: bool = False
    """plan subtasks before the first path"""
    max_subtasks: int = 3
    """the paper's k: what the planner lists beyond it is merged into the last one"""
    replan: bool = False
    """plan again after a failed path, showing the planner that path"""

    def __post_init__(self) -> None:
        _between("method.decompose.max_subtasks", self.max_subtasks, 1, 20)


@dataclass
class BacktrackSettings:
    """What happens when a path has ended and others are left (num_path > 1)."""

    enabled: bool = False
    """add the backtracking prompt, which tells later paths what earlier ones did"""
    signal: str = "judge"
    """who says that a path is good enough: judge | env_reward (reward = 1, an oracle at test time)"""
    final: str = "best_by_judge"
    """the path that counts: last | best_by_judge | best_by_reward (an oracle)"""
    stop_early: bool = True
    """start no further path after a good one; false runs all num_path paths"""
    context_share: float = 0.25
    """largest part of the policy's context that the account of earlier paths may fill"""
    observation_chars: int = 100
    """length to which actions and observations are cut in that account"""

    def __post_init__(self) -> None:
        _one_of("method.backtrack.signal", self.signal, SIGNALS)
        _one_of("method.backtrack.final", self.final, FINALS)
        _between("method.backtrack.context_share", self.context_share, 0, 1)
        _at_least("method.backtrack.observation_chars", self.observation_chars, 10)


@dataclass
class TreeSettings:
    """Tree of thoughts; `num_branch` is the number of proposals a state."""

    strategy: str = "none"
    """none | bfs (keep the best `beam` states of each depth) | dfs (best child first, back up below `threshold`)"""
    beam: int = 2
    """bfs: states kept at each depth"""
    depth: int = 20
    """deepest state, in environment steps (the task's own limit applies as well)"""
    threshold: float = 0.3
    """dfs: states the judge scores below this (0 to 1) are given up"""
    max_nodes: int = 100
    """states visited in all; dfs would otherwise be exponential in its depth"""

    def __post_init__(self) -> None:
        _one_of("method.tree.strategy", self.strategy, STRATEGIES)
        _at_least("method.tree.beam", self.beam, 1)
        _at_least("method.tree.depth", self.depth, 1)
        _between("method.tree.threshold", self.threshold, 0, 1)
        _at_least("method.tree.max_nodes", self.max_nodes, 1)


@dataclass
class JudgeSettings:
    """What the judge is shown, and how it answers."""

    history_steps: int = 3
    """latest steps shown"""
    observation_chars: int = 300
    """length to which observations are cut"""
    score_ties: bool = True
    """final=best_by_judge: ask for a mark from 0 to 10 where verdicts alone do not decide"""
    answers: str = "auto"
    """auto: verdicts and picks are constrained decoding where the back end can, else parsed | parsed everywhere"""

    def __post_init__(self) -> None:
        _at_least("method.judge.history_steps", self.history_steps, 1)
        _at_least("method.judge.observation_chars", self.observation_chars, 10)
        _one_of("method.judge.answers", self.answers, ANSWERS)


@dataclass
class MethodSettings:
    """One reasoning method: a prompting style and three independent switches (decomposition, branching,
    backtracking), or a tree search."""

    name: str = "react"
    """for directories and tables"""
    style: str = "react"
    """io (action alone) | cot (reasoning, then the action) | react (one thought and one action, both kept)"""
    shots: int = 1
    """worked examples in the prompt"""
    multiline_actions: bool = False
    """an action goes on to the end of the reply (code, queries) instead of to the end of its line"""
    policy_temperature: float = 0.0
    """of the first candidate; 0 is greedy"""
    temperature: float = 0.7
    """of further candidates, and of paths after the first where no backtracking prompt tells them apart"""
    top_p: float = 1.0
    """nucleus for replies that are sampled"""
    num_path: int = 1
    """paths at most"""
    num_branch: int = 1
    """candidate replies a step"""
    long_history: str = "trim"
    """a dialogue that leaves no room for the longest reply: trim it by AgentBench's rule | end the path as
    context_limit"""
    max_tokens: ReplyTokens = field(default_factory=ReplyTokens)
    decompose: DecomposeSettings = field(default_factory=DecomposeSettings)
    backtrack: BacktrackSettings = field(default_factory=BacktrackSettings)
    tree: TreeSettings = field(default_factory=TreeSettings)
    judge: JudgeSettings = field(default_factory=JudgeSettings)

    def __post_init__(self) -> None:
        _one_of("method.style", self.style, STYLES)
        _one_of("method.long_history", self.long_history, LONG_HISTORIES)
        _at_least("method.shots", self.shots, 0)
        _between("method.policy_temperature", self.policy_temperature, 0, 10)
        _between("method.temperature", self.temperature, 0, 10)
        _between("method.top_p", self.top_p, 0, 1)
        _at_least("num_path", self.num_path, 1)
        _at_least("num_branch", self.num_branch, 1)
        if self.num_branch > 1 and self.temperature == 0:
            raise ConfigError(
                f"method.temperature=0 with num_branch={self.num_branch}: every candidate would be the same; "
                "set method.temperature above 0"
            )
        if self.num_path > 1 and not self.backtrack.enabled and self.temperature == 0:
            raise ConfigError(
                f"method.temperature=0 with num_path={self.num_path} and no backtracking prompt: every path would be "
                "the same; set method.temperature above 0 or method.backtrack.enabled=true"
            )
        if self.tree.strategy != "none" and (self.decompose.enabled or self.backtrack.enabled or self.num_path > 1):
            raise ConfigError(
                f"method.tree.strategy={self.tree.strategy}: a tree search has no subtasks and no paths; set "
                "method.decompose.enabled=false, method.backtrack.enabled=false and num_path=1, or "
                "method.tree.strategy=none"
            )

    @property
    def supports_paths(self) -> bool:
        """Whether the top-level num_path means anything to this method (ask before overriding it)."""
        return self.tree.strategy == "none" and (self.num_path > 1 or self.backtrack.enabled)

    @property
    def supports_branches(self) -> bool:
        """Whether the top-level num_branch means anything to this method (ask before overriding it)."""
        return self.num_branch > 1 or self.tree.strategy != "none"

    @property
    def selects(self) -> bool:
        """Whether several paths (or leaves) compete, so that `signal` and `final` matter."""
        return self.num_path > 1 or self.tree.strategy != "none"

    @property
    def has_planner(self) -> bool:
        """Whether a planner is ever asked."""
        return self.decompose.enabled

    @property
    def has_judge(self) -> bool:
        """Whether a judge is ever asked: for subtasks, candidates, states, or paths."""
        options = self.backtrack
        paths = (options.signal == "judge" and options.stop_early) or options.final == "best_by_judge"
        tree = self.tree.strategy != "none"
        return self.decompose.enabled or self.num_branch > 1 or tree or (self.num_path > 1 and paths)

    @property
    def uses_oracle(self) -> bool:
        """Whether the true reward steers the search or the selection: tables have to mark it."""
        steered = self.backtrack.stop_early and self.backtrack.signal == "env_reward"
        return self.selects and (steered or self.backtrack.final == "best_by_reward")


@dataclass
class BudgetSettings:
    """Limits of one episode over all its paths; null = none. Checked before every call and every step, so that
    one call can overrun max_tokens; max_seconds also stops a call under way."""

    max_calls: int | None = None
    """model calls of all roles"""
    max_tokens: int | None = None
    """prompt and reply tokens of all calls"""
    max_steps: int | None = None
    """environment steps, replayed ones included"""
    max_seconds: float | None = None
    """wall time, waiting for the back end included"""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None:
                _at_least(f"budget.{name}", value, 1 if name != "max_seconds" else 0.001)
