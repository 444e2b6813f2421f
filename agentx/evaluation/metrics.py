"""What is counted over the scored trajectories of a cell.

All rates are over everything the agent did: the steps of every path count, also of paths that were not selected.
`per_step` divides by the environment steps, `per_episode` is the share of episodes in which it happened at least once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from agentx.evaluation.statistics import pass_hat_k
from agentx.trajectory import Outcome, Path, Step, Trajectory, Verdict

LOOP_NOTICES = frozenset({"loop"})


def _is_format_error(step: Step) -> bool:
    return step.verdict is Verdict.INVALID_FORMAT


def _is_invalid_action(step: Step) -> bool:
    """Well-formed but refused by the environment; what names something never observed is refused as well."""
    return step.verdict in (Verdict.INVALID_ACTION, Verdict.HALLUCINATED)


def _is_hallucinated(step: Step) -> bool:
    return step.verdict is Verdict.HALLUCINATED


def _is_loop(step: Step) -> bool:
    return not LOOP_NOTICES.isdisjoint(step.notices)


FAILURES: dict[str, Callable[[Step], bool]] = {
    "format_error": _is_format_error,
    "invalid_action": _is_invalid_action,
    "hallucinated_object": _is_hallucinated,
    "loop": _is_loop,
}
"""`loop` is the third equal action in a row, and every one after it"""


def by_sample(trajectories: Iterable[Trajectory]) -> list[list[Trajectory]]:
    """One list of trials per sample, both sorted."""
    groups: dict[str, list[Trajectory]] = {}
    for trajectory in sorted(trajectories, key=lambda t: (t.sample, t.trial)):
        groups.setdefault(trajectory.sample, []).append(trajectory)
    return list(groups.values())


def steps_of(trajectory: Trajectory) -> list[Step]:
    """The environment steps of all paths, replayed ones not included."""
    return [step for path in trajectory.paths for step in path.steps]


def failure_rates(trajectories: Sequence[Trajectory]) -> dict[str, dict[str, Any]]:
    """For each kind of failure: `steps` and `episodes` it occurred in, and the two rates (None without any)."""
    every = [steps_of(trajectory) for trajectory in trajectories]
    total = sum(map(len, every))
    rates = {}
    for name, occurs in FAILURES.items():
        per_episode = [sum(map(occurs, steps)) for steps in every]
        steps, episodes = sum(per_episode), sum(1 for number in per_episode if number)
        rates[name] = {
            "steps": steps,
            "episodes": episodes,
            "per_step": _share(steps, total),
            "per_episode": _share(episodes, len(every)),
        }
    return rates


def outcome_counts(trajectories: Iterable[Trajectory]) -> dict[str, int]:
    """Episodes per outcome, all outcomes named."""
    counts = Counter(trajectory.outcome for trajectory in trajectories)
    return {outcome.value: counts[outcome] for outcome in Outcome if outcome is not Outcome.INFRASTRUCTURE_ERROR}


def cost(trajectories: Sequence[Trajectory]) -> dict[str, Any]:
    """Totals and means per episode of what does not depend on the machine: calls (also by role), prompt and completion
    tokens, environment steps, replayed steps, paths."""
    n = len(trajectories)
    calls = [call for trajectory in trajectories for call in trajectory.calls]
    total = {
        "calls": len(calls),
        "prompt_tokens": sum(call.prompt_tokens for call in calls),
        "completion_tokens": sum(call.completion_tokens for call in calls),
        "steps": sum(len(steps_of(trajectory)) for trajectory in trajectories),
        "replayed_steps": sum(trajectory.replayed_steps for trajectory in trajectories),
        "paths": sum(len(trajectory.paths) for trajectory in trajectories),
    }
    total["tokens"] = total["prompt_tokens"] + total["completion_tokens"]
    roles = Counter(call.role for call in calls)
    return {
        "total": total,
        "per_episode": {name: _share(number, n) for name, number in total.items()},
        "calls_by_role": dict(sorted(roles.items())),
    }


def timing(trajectories: Sequence[Trajectory]) -> dict[str, Any]:
    """What differs from run to run: seconds, and tokens found in the back end's cache (which depend on what else was
    in the batch)."""
    n = len(trajectories)
    seconds = sorted(trajectory.seconds for trajectory in trajectories)
    calls = (call for trajectory in trajectories for call in trajectory.calls)
    cached = sum(call.cached_tokens for call in calls if not call.from_cache)
    return {
        "episode_seconds_mean": _share(math.fsum(seconds), n),
        "episode_seconds_median": (seconds[(n - 1) // 2] + seconds[n // 2]) / 2 if n else None,
        "episode_seconds_total": math.fsum(seconds),
        "cached_tokens": cached,
        "cached_tokens_per_episode": _share(cached, n),
    }


def judge_agreement(trajectories: Iterable[Trajectory], success_threshold: float) -> dict[str, Any] | None:
    """The judge's verdicts on whole paths against the true outcome; None where it was never asked.

    Precision: of the paths it called successful, those that were. Recall: of the successful paths, those it called so.
    """
    judged: list[Path] = [p for t in trajectories for p in t.paths if p.judged_success is not None]
    if not judged:
        return None
    counts = Counter((bool(path.judged_success), path.reward >= success_threshold) for path in judged)
    hit, false_alarm, miss, rejection = (
        counts[True, True],
        counts[True, False],
        counts[False, True],
        counts[False, False],
    )
    return {
        "paths": len(judged),
        "true_positive": hit,
        "false_positive": false_alarm,
        "false_negative": miss,
        "true_negative": rejection,
        "precision": _share(hit, hit + false_alarm),
        "recall": _share(hit, hit + miss),
        "accuracy": _share(hit + rejection, len(judged)),
    }


def pass_k(trajectories: Iterable[Trajectory]) -> dict[str, float] | None:
    """pass^1 … pass^k for k up to the largest number of trials; None with a single trial."""
    counts = [(sum(t.success for t in trials), len(trials)) for trials in by_sample(trajectories)]
    most = max((trials for _, trials in counts), default=0)
    return {str(k): pass_hat_k(counts, k) for k in range(1, most + 1)} if most > 1 else None


def success_by_kind(trajectories: Iterable[Trajectory]) -> dict[str, dict[str, int]]:
    """Episodes and successes per sample kind (task type), where the task has kinds."""
    kinds: dict[str, dict[str, int]] = {}
    for trajectory in trajectories:
        kind = str(trajectory.metadata.get("kind") or "")
        if kind:
            counts = kinds.setdefault(kind, {"n": 0, "successes": 0})
            counts["n"] += 1
            counts["successes"] += trajectory.success
    return dict(sorted(kinds.items()))


def notice_counts(trajectories: Iterable[Trajectory]) -> dict[str, int]:
    """How often each notice was given, over all episodes."""
    counts: Counter[str] = Counter()
    for trajectory in trajectories:
        counts.update(trajectory.notices)
    return dict(sorted(counts.items()))


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
