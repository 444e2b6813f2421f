"""Tree of thoughts: what is expanded, how states come back, what stays open."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from agentx.conversation import Message
from agentx.errors import UserError
from agentx.models.chat import BackendError, Request, Roles
from agentx.reasoning.method import Method
from agentx.reasoning.settings import BacktrackSettings, BudgetSettings, MethodSettings, TreeSettings
from agentx.tasks.environment import Observation
from agentx.trajectory import Outcome, Purpose, Trajectory

ACTIONS = ("left", "wait", "right")
BFS = MethodSettings(name="tot", num_branch=3, tree=TreeSettings(strategy="bfs", beam=2))
DFS = replace(BFS, tree=TreeSettings(strategy="dfs", threshold=0.2))
EITHER = pytest.mark.parametrize("method", [BFS, DFS], ids=["bfs", "dfs"])


def act(messages: Sequence[Message], request: Request) -> str:
    return f"THOUGHT: on\nACTION: {ACTIONS[request.branch]}"


def nearness(messages: Sequence[Message], request: Request) -> str:
    """A judge's mark: three for each cell gone."""
    cells = re.findall(r"cell (\d+)", messages[-1].content)
    return str(min(10, 3 * int(cells[-1])))


@pytest.fixture
def script(by_purpose):
    return by_purpose(act=act, score=nearness, task="Yes")


def commands(trajectory: Trajectory, index: int) -> list[str | None]:
    """The actions from the root to a node."""
    path = trajectory.paths[index]
    before = [] if path.parent is None else commands(trajectory, path.parent)
    return [*before, *(step.candidate.action for step in path.steps)]


@EITHER
@pytest.mark.parametrize("forks", [True, False], ids=["fork", "replay"])
def test_the_goal_is_found_and_nothing_stays_open(method, forks, solve, corridor, scripted, script) -> None:
    environment = corridor(forks=forks)
    trajectory = solve(method, environment, scripted(script))
    assert commands(trajectory, trajectory.selected) == ["right", "right", "right"]
    assert trajectory.reward == 1.0 and trajectory.success and trajectory.outcome is Outcome.COMPLETED
    assert environment.open_forks == 0 and environment.closings == 0
    assert all(twin.closings == 1 for twin in environment.registry[1:])
    assert (trajectory.replayed_steps > 0) == (not forks)
    assert Trajectory.from_dict(trajectory.to_dict()) == trajectory


@EITHER
def test_forking_and_replaying_ask_the_same(method, solve, corridor, scripted, script) -> None:
    models = [scripted(script), scripted(script)]
    results = [solve(method, corridor(forks=forks), model) for forks, model in zip((True, False), models, strict=True)]
    assert models[0].asked == models[1].asked
    assert replace(results[1], replayed_steps=0) == results[0]


@EITHER
def test_steps_are_counted_apart_from_replays(method, solve, corridor, scripted, script) -> None:
    environment = corridor(forks=False)
    trajectory = solve(method, environment, scripted(script))
    grown = sum(len(path.steps) for path in trajectory.paths)
    assert environment.steps == grown + trajectory.replayed_steps
    assert grown == len(trajectory.paths) - 1
    assert len({call.seed for call in trajectory.calls}) == len(trajectory.calls)


def test_breadth_first_keeps_the_beam(solve, corridor, scripted, script) -> None:
    model = scripted(script)
    method = replace(BFS, tree=TreeSettings(strategy="bfs", beam=2, depth=2))
    trajectory = solve(method, corridor(goal=9), model)
    # Root; then its three children, of which the two best grow three each. Equal marks keep the order proposed.
    assert [path.parent for path in trajectory.paths] == [None, 0, 0, 0, 3, 3, 3, 1, 1, 1]
    assert [path.judged_score for path in trajectory.paths[1:4]] == [0.0, 0.0, 0.3]
    assert commands(trajectory, trajectory.selected) == ["right", "right"]
    assert trajectory.outcome is Outcome.TASK_LIMIT and trajectory.reward == 0.0
    assert {asked.request.step for asked in model.of(Purpose.ACT)} == {0, 1}


def test_breadth_first_closes_what_the_beam_drops(solve, corridor, scripted, by_purpose) -> None:
    open_now: list[int] = []
    environment = corridor(goal=99, rounds=99)
    model = scripted(by_purpose(act=act, score="5"))
    model.on_call = lambda request: open_now.append(environment.open_forks)
    solve(replace(BFS, tree=TreeSettings(strategy="bfs", beam=1, depth=12)), environment, model)
    # One kept state, its three children.
    assert max(open_now) == 4


def test_depth_first_takes_the_best_child_first(solve, corridor, scripted, script) -> None:
    trajectory = solve(DFS, corridor(), scripted(script))
    assert [path.parent for path in trajectory.paths] == [None, 0, 0, 0, 3, 3, 3, 6, 6, 6]


def test_depth_first_gives_up_below_the_threshold(solve, corridor, scripted, by_purpose) -> None:
    hopeless = by_purpose(act=act, score="1")
    trajectory = solve(DFS, corridor(), scripted(hopeless))
    assert len(trajectory.paths) == 4 and trajectory.outcome is Outcome.TASK_LIMIT


def test_depth_first_returns_to_the_parent(solve, corridor, scripted, by_purpose) -> None:
    """A judge that likes the first step left, and nothing after it, sends the search back to the root."""

    def mark(messages: Sequence[Message], request: Request) -> str:
        steps = re.findall(r"^> (\w+)", messages[-1].content, re.MULTILINE)
        return (
            {"left": "9", "right": "5"}.get(steps[0], "0") if len(steps) == 1 else "6" if steps[0] == "right" else "0"
        )

    trajectory = solve(DFS, corridor(forks=False), scripted(by_purpose(act=act, score=mark, task="Yes")))
    assert [path.parent for path in trajectory.paths[:10]] == [None, 0, 0, 0, 1, 1, 1, 3, 3, 3]
    assert trajectory.replayed_steps > 0


@EITHER
def test_max_nodes_bounds_the_search(method, solve, corridor, scripted, by_purpose) -> None:
    endless = by_purpose(act=act, score="9")
    bounded = replace(method, tree=replace(method.tree, max_nodes=20))
    trajectory = solve(bounded, corridor(goal=99, rounds=99), scripted(endless))
    assert len(trajectory.paths) == 21


def test_equal_actions_grow_one_child(solve, corridor, scripted, by_purpose) -> None:
    model = scripted(by_purpose(score="9"))
    trajectory = solve(BFS, corridor(), model)
    assert [path.parent for path in trajectory.paths] == [None, 0, 1, 2]
    assert len(model.of(Purpose.ACT)) == 9


def test_true_reward_as_signal_asks_no_verdict(solve, corridor, scripted, script) -> None:
    model = scripted(script)
    method = replace(BFS, backtrack=BacktrackSettings(signal="env_reward", final="best_by_reward"))
    trajectory = solve(method, corridor(), model)
    assert trajectory.reward == 1.0 and not model.of(Purpose.TASK_DONE)


def test_an_unsatisfied_judge_goes_on_searching(solve, corridor, scripted, by_purpose) -> None:
    model = scripted(by_purpose(act=act, score=nearness, task="No"))
    trajectory = solve(BFS, corridor(rounds=4), model)
    assert len(model.of(Purpose.TASK_DONE)) > 1
    assert trajectory.outcome is Outcome.COMPLETED and trajectory.reward == 1.0


@EITHER
def test_unreadable_marks_count_as_nothing(method, solve, corridor, scripted, by_purpose) -> None:
    trajectory = solve(method, corridor(rounds=2), scripted(by_purpose(act=act, score="splendid")))
    assert trajectory.notices["score_unparsable"] == len(trajectory.paths) - 1


@EITHER
def test_an_environment_without_a_way_back_is_refused(method, solve, corridor, scripted, script) -> None:
    with pytest.raises(UserError, match=r"method\.tree\.strategy=.fs.*neither be copied nor replayed"):
        solve(method, corridor(forks=False, deterministic=False), scripted(script))


@EITHER
def test_a_replay_that_differs_is_refused(method, solve, corridor, scripted, script) -> None:
    class Drifting(corridor):
        def _observation(self) -> Observation:
            return Observation(f"You are in cell {self.cell} for the {self.steps}th time.")

    with pytest.raises(UserError, match="replaying sample s1 gave another observation"):
        solve(method, Drifting(forks=False), scripted(script))


@EITHER
@pytest.mark.parametrize("limit", range(1, 25, 3))
def test_budgets_keep_what_was_grown(method, limit, solve, corridor, scripted, script) -> None:
    environment = corridor()
    model = scripted(script)
    trajectory = solve(method, environment, model, BudgetSettings(max_calls=limit))
    assert len(model.asked) == len(trajectory.calls) <= limit
    assert environment.open_forks == 0
    assert (trajectory.outcome is Outcome.BUDGET) == bool(trajectory.limit)
    replayed = solve(method, corridor(forks=False), scripted(script), BudgetSettings(max_steps=limit))
    assert sum(len(path.steps) for path in replayed.paths) + replayed.replayed_steps <= limit + 1


@EITHER
def test_overflow_closes_a_leaf(method, solve, corridor, scripted, script) -> None:
    policy, judge = scripted(script, context_length=20), scripted(script)
    trajectory = solve(method, corridor(), Roles(policy, judge, judge))
    assert Outcome.CONTEXT_LIMIT in {path.outcome for path in trajectory.paths}


@EITHER
def test_a_failing_back_end_leaves_no_fork_open(method, solve, corridor, scripted, script) -> None:
    for failing in range(1, 12):
        model = scripted(script)
        countdown = iter([False] * failing + [True] * 100)

        def fail(request: Request, countdown=countdown) -> None:
            if next(countdown):
                raise BackendError("gone")

        model.on_call = fail
        environment = corridor()
        with pytest.raises(BackendError):
            solve(method, environment, model)
        assert environment.open_forks == 0 and model.running == 0


@EITHER
def test_cancelling_at_any_await_leaves_no_fork_open(method, corridor, scripted, script, context) -> None:
    async def cancelled_after(ticks: int) -> bool:
        model = scripted(script)
        environment = corridor()
        solving = asyncio.ensure_future(
            Method(method).solve(environment, Roles.all_one(model), BudgetSettings(), context)
        )
        for _ in range(ticks):
            await asyncio.sleep(0)
        finished = solving.done()
        solving.cancel()
        await asyncio.gather(solving, return_exceptions=True)
        assert environment.open_forks == 0 and environment.closings == 0 and model.running == 0
        return finished

    ticks = 0
    while not asyncio.run(cancelled_after(ticks)):
        ticks += 1
    assert ticks > 30
