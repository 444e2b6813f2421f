"""What tables compare of a cell's episodes, read once: a few numbers an episode instead of its whole trajectory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from agentx.evaluation.metrics import FAILURES, steps_of
from agentx.evaluation.statistics import Interval, mean_interval, success_interval
from agentx.reports.collect import Row
from agentx.trajectory import Trajectory

FORMAT = 1
"""raise it when the fields below change: facts kept by an older version are then made anew"""


@dataclass
class PathFacts:
    """One path of one episode."""

    reward: float
    commands: list[str]
    """what the environment ran, step by step"""
    subtasks: int = 0
    """subtasks given by the planner"""
    reached: int = 0
    """subtasks the agent began"""
    done: int = 0
    """subtasks the judge called done"""
    judged: bool | None = None
    """the judge's verdict on the whole path"""


@dataclass
class EpisodeFacts:
    """One scored episode."""

    sample: str
    trial: int
    kind: str
    outcome: str
    limit: str
    success: bool
    reward: float
    steps: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    selected: int
    attempts: int = 0
    """paths, or states of a tree search"""
    failures: dict[str, int] = field(default_factory=dict)
    """steps with each kind of failure (`agentx.evaluation.metrics.FAILURES`)"""
    paths: list[PathFacts] = field(default_factory=list)

    @classmethod
    def of(cls, trajectory: Trajectory) -> EpisodeFacts:
        steps = steps_of(trajectory)
        tree = any(path.parent is not None for path in trajectory.paths)
        return cls(
            trajectory.sample,
            trajectory.trial,
            str(trajectory.metadata.get("kind") or ""),
            trajectory.outcome.value,
            trajectory.limit,
            trajectory.success,
            trajectory.reward,
            len(steps),
            len(trajectory.calls),
            sum(call.prompt_tokens for call in trajectory.calls),
            sum(call.completion_tokens for call in trajectory.calls),
            trajectory.seconds,
            trajectory.selected,
            len(trajectory.paths),
            {name: sum(map(occurs, steps)) for name, occurs in FAILURES.items()},
            # The nodes of a tree are states, not attempts: they are no paths to compare.
            [] if tree else [_path_facts(path) for path in trajectory.paths],
        )

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> EpisodeFacts:
        """Raises KeyError or TypeError on a record of another shape."""
        return cls(**{**record, "paths": [PathFacts(**path) for path in record["paths"]]})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class CellFacts:
    """A cell with the facts of its episodes."""

    row: Row
    episodes: Sequence[EpisodeFacts]

    def sample_of(self, episode: EpisodeFacts) -> str:
        """What identifies the problem across cells: where problems are generated, another seed is another problem."""
        task = self.row.config.get("task")
        generated = isinstance(task, dict) and task.get("source") == "generated"
        return f"{task.get('seed', 0)}:{episode.sample}" if generated and task else episode.sample


@dataclass(frozen=True)
class Pool:
    """Cells that differ in nothing but their seed, scored together."""

    cells: Sequence[CellFacts]

    @property
    def row(self) -> Row:
        return self.cells[0].row

    @property
    def n(self) -> int:
        return sum(len(cell.episodes) for cell in self.cells)

    def values(self, name: str) -> dict[tuple[str, int], float]:
        """`success` or `reward` by (sample, trial); trials are numbered on over the seeds."""
        found: dict[tuple[str, int], float] = {}
        for cell in self.cells:
            for episode in cell.episodes:
                found[cell.sample_of(episode), 1000 * cell.row.seed + episode.trial] = float(getattr(episode, name))
        return found

    def events(self, failure: str, *, well_formed: bool = False) -> dict[str, tuple[float, float]]:
        """By sample: steps with that failure, and all steps, or all whose format was right."""
        found: dict[str, tuple[float, float]] = {}
        for cell in self.cells:
            for episode in cell.episodes:
                events, steps = found.get(cell.sample_of(episode), (0.0, 0.0))
                counted = episode.steps - (episode.failures["format_error"] if well_formed else 0)
                found[cell.sample_of(episode)] = (events + episode.failures[failure], steps + counted)
        return found

    def success(self) -> Interval:
        return success_interval([[value > 0 for value in trials] for trials in self.trials("success")])

    def reward(self) -> Interval:
        return mean_interval(self.trials("reward"))

    def trials(self, name: str) -> list[list[float]]:
        """`success` or `reward` of every trial, one list a sample."""
        clusters: dict[str, list[float]] = {}
        for (sample, _), value in sorted(self.values(name).items()):
            clusters.setdefault(sample, []).append(value)
        return list(clusters.values())


def pools(cells: Sequence[CellFacts]) -> list[Pool]:
    """Cells with at least one scored episode, those that differ in their seed alone together, in the order given."""
    groups: dict[tuple[Any, ...], list[CellFacts]] = {}
    seen: Counter[tuple[Any, ...]] = Counter()
    for cell in cells:
        if cell.episodes:
            same = (cell.row.label, *identity(cell.row).values())
            # The same options and seed twice: something else differs (weights, prompts), so they stay apart.
            again = seen[(*same, cell.row.seed)]
            seen[(*same, cell.row.seed)] += 1
            groups.setdefault((*same, again), []).append(cell)
    return [Pool(group) for group in groups.values()]


def identity(row: Row) -> dict[str, str]:
    """What distinguishes cells, the seed excepted, in four parts: model, training, method, and the task as played."""
    return {
        "model": _text(row.config.get("model"), "prompt", "planner", "licence"),
        "training": ""
        if row.tuning == "none"
        else str(row.agent_ratio) + _text(row.config.get("tuning"), "seed") + _text(row.config.get("data"), "seed"),
        "method": f"{row.num_path} {row.num_branch} "
        + _text(row.config.get("method"), "num_path", "num_branch")
        + _text(row.config.get("budget")),
        # As many trials: with more of them the same samples say more, in a cell of its own.
        "task": _text(row.config.get("task"), "seed", "samples", "prompt")
        + _text(row.config.get("evaluation", {}).get("trials", 1)),
    }


def _text(options: Any, *without: str) -> str:
    if not isinstance(options, Mapping):
        return str(options)
    return str(sorted((str(name), str(value)) for name, value in options.items() if name not in without))


def _path_facts(path: Any) -> PathFacts:
    begun = {step.subtask for step in path.steps if step.subtask is not None}
    done = {step.subtask for step in path.steps if step.subtask is not None and step.subtask_done}
    commands = [step.executed or (step.candidate.action or "") for step in path.steps]
    return PathFacts(path.reward, commands, len(path.subtasks), len(begun), len(done), path.judged_success)
