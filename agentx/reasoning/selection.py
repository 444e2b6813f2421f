"""Which of an episode's paths counts: `backtrack.final`."""

from __future__ import annotations

from collections.abc import Sequence

from agentx.trajectory import Outcome, Path


def eligible(paths: Sequence[Path]) -> list[Path]:
    """The paths that may count: a path the budget cut counts only where no path came to its end."""
    finished = [path for path in paths if path.outcome is not Outcome.BUDGET]
    return finished or list(paths)


def leaders(paths: Sequence[Path]) -> list[Path]:
    """Those with the judge's best verdict: where they are several, a mark has to decide."""
    best = max(bool(path.judged_success) for path in paths)
    return [path for path in paths if bool(path.judged_success) is best]


def select(paths: Sequence[Path], final: str) -> Path:
    """The path that counts among `paths` (not empty), by `last`, `best_by_judge` (verdict Yes first, then the higher
    mark) or `best_by_reward`.

    Ties go to the earlier path: a judge that cannot tell the paths apart then gives the result of num_path=1.
    """
    if final == "last":
        return paths[-1]
    if final == "best_by_reward":
        return max(paths, key=lambda path: path.reward)
    return max(leaders(paths), key=lambda path: -1.0 if path.judged_score is None else path.judged_score)
