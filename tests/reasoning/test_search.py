"""The search around a style: the six laws, the exact calls, budgets and notices."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from agentx.conversation import Message
from agentx.models.chat import BackendError, Request, Roles
from agentx.reasoning.method import Method
from agentx.reasoning.settings import (
    BacktrackSettings,
    BudgetSettings,
    DecomposeSettings,
    JudgeSettings,
    MethodSettings,
    ReplyTokens,
)
from agentx.trajectory import Outcome, Purpose, Trajectory

REACT = MethodSettings()
OURS = MethodSettings(
    name="ours",
    num_path=2,
    num_branch=2,
    decompose=DecomposeSettings(enabled=True),
    backtrack=BacktrackSettings(enabled=True),
)
BACKTRACK = MethodSettings(name="backtrack", num_path=2, backtrack=BacktrackSettings(enabled=True))
BEST_OF_N = MethodSettings(name="best_of_n", num_path=3, backtrack=BacktrackSettings(stop_early=False))


def reply(action: str, thought: str = "on") -> str:
    return f"THOUGHT: {thought}\nACTION: {action}"


def wanderer(messages: Sequence[Message], request: Request) -> str:
    """A policy whose replies depend on its seed and its prompt alone, as a model's do."""
    options = ["right", "right", "left", "wait", "stop"]
    return reply(options[(request.seed + sum(len(message.content) for message in messages)) % len(options)])


def exact(model) -> list[tuple]:
    return [(asked.messages, asked.sampling, asked.request) for asked in model.asked]


# Law 1


@pytest.mark.parametrize("style", ["io", "cot", "react"])
def test_ours_without_its_switches_sends_the_requests_of_its_style(
    style, solve, corridor, scripted, by_purpose
) -> None:
    plain = scripted(by_purpose(act=wanderer))
    ours = scripted(by_purpose(act=wanderer))
    solve(replace(REACT, style=style), corridor(goal=9, rounds=20), plain)
    solve(
        replace(OURS, style=style, num_path=1, num_branch=1, decompose=DecomposeSettings()),
        corridor(goal=9, rounds=20),
        ours,
    )
    assert exact(plain) == exact(ours)
    assert all(asked.request.purpose is Purpose.ACT for asked in ours.asked)


# Law 2


@pytest.mark.parametrize("paths", [2, 3, 4])
@pytest.mark.parametrize("method", [OURS, BACKTRACK, BEST_OF_N], ids=lambda method: method.name)
def test_the_first_path_is_the_run_with_one_path(method, paths, solve, corridor, scripted, by_purpose) -> None:
    script = by_purpose(act=wanderer, done=lambda m, r: "Yes" if r.step % 2 else "No", pick="2")
    one, many = scripted(script), scripted(script)
    first = solve(replace(method, num_path=1), corridor(), one)
    whole = solve(replace(method, num_path=paths), corridor(), many)
    ending = (Purpose.TASK_DONE, Purpose.SCORE)
    of_first = [call for call, asked in zip(exact(many), many.asked, strict=True) if asked.request.path == 0]
    assert exact(one) == [call for call in of_first if call[2].purpose not in ending]
    assert whole.paths[0].steps == first.paths[0].steps


@given(seed=st.integers(0, 10_000), final=st.sampled_from(["best_by_reward", "last"]))
@effort(max_examples=40, deadline=None)
def test_reward_does_not_fall_with_more_paths_when_the_best_counts(
    seed, final, solve, corridor, scripted, by_purpose
) -> None:
    def act(messages: Sequence[Message], request: Request) -> str:
        return wanderer(messages, replace(request, run_seed=seed))

    rewards = []
    for paths in (1, 2, 3, 4):
        method = replace(BACKTRACK, num_path=paths, backtrack=BacktrackSettings(enabled=True, final=final))
        trajectory = solve(method, corridor(goal=5), scripted(by_purpose(act=act)))
        rewards.append(trajectory.reward)
        assert trajectory.reward == trajectory.paths[trajectory.selected].reward
        assert final != "last" or trajectory.selected == len(trajectory.paths) - 1
    assert final == "last" or rewards == sorted(rewards)


# Law 3


@pytest.mark.parametrize("branches", [2, 3, 5])
def test_the_first_candidate_is_the_one_without_branching(branches, solve, corridor, scripted, by_purpose) -> None:
    script = by_purpose(act=wanderer, pick="1")
    one, many = scripted(script), scripted(script)
    solve(REACT, corridor(goal=9, rounds=12), one)
    solve(replace(REACT, num_branch=branches), corridor(goal=9, rounds=12), many)
    first = [call for call in exact(many) if call[2].purpose is Purpose.ACT and call[2].branch == 0]
    assert first == exact(one)
    assert {call[1].temperature for call in first} == {0.0}
    others = [call for call in exact(many) if call[2].purpose is Purpose.ACT and call[2].branch > 0]
    assert {call[1].temperature for call in others} == {REACT.temperature}
    assert len(others) == (branches - 1) * len(first)


# Law 4


@pytest.mark.parametrize("method", [OURS, BACKTRACK, BEST_OF_N], ids=lambda method: method.name)
def test_paths_do_not_overlap_and_calls_equal_the_record(method, solve, corridor, scripted, by_purpose) -> None:
    model = scripted(by_purpose(act=wanderer, done="Yes"))
    environment = corridor()
    trajectory = solve(method, environment, model)
    order = [asked.request.path for asked in model.asked if asked.request.purpose is not Purpose.SCORE]
    assert order == sorted(order)
    assert len(model.asked) == len(trajectory.calls)
    assert [call.seed for call in trajectory.calls] == [asked.seed for asked in model.asked]
    assert [call.text for call in trajectory.calls] == [asked.text for asked in model.asked]
    assert len({asked.seed for asked in model.asked}) == len(model.asked)
    assert environment.steps == sum(len(path.steps) for path in trajectory.paths)
    assert Trajectory.from_dict(trajectory.to_dict()) == trajectory
    for call in trajectory.calls:
        assert (call.messages is None) == (call.role == "policy")


# Law 5


@given(
    answers=st.lists(st.one_of(st.sampled_from(["Yes", "No", "1", "2", "10", ""]), st.text()), min_size=1),
    planned=st.one_of(st.sampled_from(["1. a\n2. b\n3. c\n4. d", "nonsense", ""]), st.text()),
    acted=st.lists(
        st.one_of(st.sampled_from([reply("right"), reply("wait"), reply("stop"), "no"]), st.text()), min_size=1
    ),
)
@effort(max_examples=60, deadline=None)
def test_no_answer_crashes_or_outlasts_the_limits(
    answers, planned, acted, solve, corridor, scripted, by_purpose
) -> None:
    said, done = itertools.cycle(answers), itertools.cycle(acted)

    def judge(messages: Sequence[Message], request: Request) -> str:
        return next(said)

    script = by_purpose(lambda m, r: next(done), planned, judge, judge, judge, judge)
    environment = corridor(rounds=5)
    trajectory = solve(replace(OURS, num_path=3), environment, scripted(script))
    assert 1 <= len(trajectory.paths) <= 3
    assert all(len(path.steps) <= 5 for path in trajectory.paths)
    assert all(len(path.subtasks) <= 3 for path in trajectory.paths)


@pytest.mark.parametrize("verdict", ["Yes", "No", "perhaps"])
def test_stubborn_judges(verdict, solve, corridor, scripted, by_purpose) -> None:
    model = scripted(by_purpose(act=reply("wait"), plan="1. a\n2. b", done=verdict, task=verdict))
    trajectory = solve(replace(OURS, num_branch=1), corridor(rounds=4), model)
    first = trajectory.paths[0]
    assert first.outcome is Outcome.TASK_LIMIT and len(first.steps) == 4
    subtasks = [step.subtask for step in first.steps]
    assert subtasks == ([0, 1, None, None] if verdict == "Yes" else [0, 0, 0, 0])
    assert len(trajectory.paths) == (1 if verdict == "Yes" else 2)
    # The last step of a path ends it, so that its subtask is not judged any more; then the path itself is.
    unparsable = 2 * 3 + 2 if verdict == "perhaps" else 0
    assert trajectory.notices.get("verdict_unparsable", 0) == unparsable


# Law 6


@pytest.mark.parametrize("method", [OURS, REACT], ids=lambda method: method.name)
def test_cancelling_at_any_await_leaves_no_call_running(method, corridor, scripted, by_purpose, context) -> None:
    async def cancelled_after(ticks: int) -> bool:
        model = scripted(by_purpose())
        environment = corridor(goal=6)
        solving = asyncio.ensure_future(
            Method(method).solve(environment, Roles.all_one(model), BudgetSettings(), context)
        )
        for _ in range(ticks):
            await asyncio.sleep(0)
        finished = solving.done()
        solving.cancel()
        await asyncio.gather(solving, return_exceptions=True)
        assert solving.cancelled() or finished
        assert model.running == 0 and len(asyncio.all_tasks()) == 1
        assert environment.open_forks == 0 and environment.closings == 0
        return finished

    ticks = 0
    while not asyncio.run(cancelled_after(ticks)):
        ticks += 1
    assert ticks > 10


# Backtracking


def test_the_second_path_starts_again_knows_the_first_and_is_the_last(solve, corridor, scripted, by_purpose) -> None:
    def act(messages: Sequence[Message], request: Request) -> str:
        return reply(["right", "stop"][min(request.step, 1)] if request.path == 0 else "left")

    model = scripted(by_purpose(act=act))
    environment = corridor(rounds=3, transient="Commands: left, right, stop")
    trajectory = solve(BACKTRACK, environment, model)
    assert environment.events == ["reset", "step right", "step stop", "reset", "step left", "step left", "step left"]
    second = next(asked for asked in model.asked if asked.request.path == 1)
    assert [message.content for message in second.messages[:-1]] == ["Walk.", "OK"]
    assert second.prompt.splitlines() == [
        "You are in cell 0.",
        "Your earlier answer was not the best choice for the task: reach the last cell",
        "Take the history below into account and do not follow the paths already tried. Newest first:",
        "path 1 ended: the episode was over",
        "path 1, step 2: stop -> You are in cell 1.",
        "path 1, step 1: right -> You are in cell 1.",
        "Commands: left, right, stop",
    ]
    assert second.sampling.temperature == 0.0
    assert trajectory.paths[1].opening == [message.to_dict() for message in second.messages]
    assert {asked.request.path for asked in model.asked} == {0, 1} and len(trajectory.paths) == 2


def test_a_third_path_sees_both_newest_first(solve, corridor, scripted, by_purpose) -> None:
    model = scripted(by_purpose(act=reply("stop")))
    solve(replace(BACKTRACK, num_path=3), corridor(), model)
    prompt = next(asked.prompt for asked in model.asked if asked.request.path == 2)
    told = [line for line in prompt.splitlines() if line.startswith("path")]
    assert [line[:6] for line in told] == ["path 2", "path 2", "path 1", "path 1"]


def test_the_account_is_cut_to_its_share_of_the_context(solve, corridor, scripted, by_purpose) -> None:
    model = scripted(by_purpose(act=reply("wait")), context_length=400)
    method = replace(BACKTRACK, backtrack=BacktrackSettings(enabled=True, context_share=0.2))
    solve(method, corridor(rounds=15), model)
    first = next(asked for asked in model.asked if asked.request.path == 0)
    second = next(asked for asked in model.asked if asked.request.path == 1)
    added = model.count_tokens(second.messages) - model.count_tokens(first.messages)
    lines = second.prompt.splitlines()
    assert lines[-1] == "(older steps left out)" and lines[3] == "path 1 ended: no turns were left"
    assert lines[4].startswith("path 1, step 15:")
    overhead = len(" ".join(lines[1:3]).split())
    assert added - overhead <= 0.2 * 400 < added - overhead + 2 * len(lines[4].split())


def test_true_reward_stops_the_search(solve, corridor, scripted, by_purpose) -> None:
    def act(messages: Sequence[Message], request: Request) -> str:
        return reply("right" if request.path == 1 else "stop")

    signal = BacktrackSettings(enabled=True, signal="env_reward", final="last")
    model = scripted(by_purpose(act=act))
    trajectory = solve(replace(BACKTRACK, num_path=4, backtrack=signal), corridor(), model)
    assert [path.reward for path in trajectory.paths] == [0.0, 1.0]
    assert trajectory.success and trajectory.selected == 1 and trajectory.outcome is Outcome.COMPLETED
    assert not model.of(Purpose.TASK_DONE, Purpose.SCORE)


def test_a_contented_judge_stops_the_search(solve, corridor, scripted, by_purpose) -> None:
    model = scripted(by_purpose(act=reply("stop"), task=lambda m, r: "Yes" if r.path == 1 else "No"))
    trajectory = solve(replace(BACKTRACK, num_path=4), corridor(), model)
    assert [path.judged_success for path in trajectory.paths] == [False, True]
    assert trajectory.selected == 1
    asked = model.of(Purpose.TASK_DONE)[0].prompt
    assert asked.splitlines() == [
        "You judge an agent at work.",
        "Task: reach the last cell",
        "At the start: You are in cell 0.",
        "> stop",
        "You are in cell 0.",
        "The attempt is over: the episode was over",
        "Was the task accomplished? Answer Yes or No.",
    ]


def test_the_judge_is_not_asked_about_the_last_path_where_the_last_counts(
    solve, corridor, scripted, by_purpose
) -> None:
    model = scripted(by_purpose(act=reply("stop")))
    solve(replace(BACKTRACK, backtrack=BacktrackSettings(enabled=True, final="last")), corridor(), model)
    assert [asked.request.path for asked in model.of(Purpose.TASK_DONE)] == [0]
    single = scripted(by_purpose(act=reply("stop")))
    solve(replace(BACKTRACK, num_path=1), corridor(), single)
    assert not single.of(Purpose.TASK_DONE)


def test_marks_decide_where_verdicts_do_not(solve, corridor, scripted, by_purpose) -> None:
    marks = by_purpose(act=reply("stop"), score=lambda m, r: "358"[r.path])
    assert solve(replace(BACKTRACK, num_path=3), corridor(), scripted(marks)).selected == 2
    assert solve(replace(BACKTRACK, num_path=3), corridor(), scripted(by_purpose(act=reply("stop")))).selected == 0
    nonsense = solve(replace(BACKTRACK, num_path=3), corridor(), scripted(by_purpose(act=reply("stop"), score="good")))
    assert nonsense.selected == 0 and nonsense.notices["score_unparsable"] == 3
    silent = scripted(marks)
    unmarked = replace(BACKTRACK, num_path=3, judge=JudgeSettings(score_ties=False))
    assert solve(unmarked, corridor(), silent).selected == 0 and not silent.of(Purpose.SCORE)


def test_best_of_n_is_independent_and_complete(solve, corridor, scripted, by_purpose) -> None:
    model = scripted(by_purpose(act=reply("stop"), task="Yes"))
    environment = corridor()
    trajectory = solve(BEST_OF_N, environment, model)
    assert len(trajectory.paths) == environment.resets == 3
    asked = model.of(Purpose.ACT)
    assert len({tuple(call.messages) for call in asked}) == 1
    assert len({call.seed for call in asked}) == 3
    assert [call.sampling.temperature for call in asked] == [0.0, 0.7, 0.7]


# Decomposition


def test_subtasks_are_announced_where_they_begin_and_stay(solve, corridor, scripted, by_purpose) -> None:
    model = scripted(by_purpose(done="Yes"))
    trajectory = solve(MethodSettings(decompose=DecomposeSettings(enabled=True)), corridor(), model)
    plan, *_ = model.of(Purpose.PLAN)
    assert plan.request.role == "planner" and plan.request.path == 0
    assert "Task: reach the last cell" in plan.prompt and "at most 3 subtasks" in plan.prompt
    acts = model.of(Purpose.ACT)
    assert [call.prompt.splitlines() for call in acts] == [
        ["You are in cell 0.", "Subtask 1 of 2: go"],
        ["You are in cell 1.", "Subtask 2 of 2: arrive"],
        ["You are in cell 2.", "Now finish the whole task: reach the last cell"],
    ]
    for earlier, later in itertools.pairwise(acts):
        assert later.messages[: len(earlier.messages)] == earlier.messages
    assert trajectory.paths[0].subtasks == ["go", "arrive"]
    assert [(step.subtask, step.subtask_done) for step in trajectory.paths[0].steps] == [
        (0, True),
        (1, True),
        (None, None),
    ]
    asked = model.of(Purpose.SUBTASK_DONE)
    assert [call.request.step for call in asked] == [0, 1]
    assert asked[1].prompt.splitlines()[2:] == [
        "Subtask: arrive",
        "At the start: You are in cell 0.",
        "> right",
        "You are in cell 1.",
        "> right",
        "You are in cell 2.",
        "Is the subtask done? Answer Yes or No.",
    ]


def test_the_judge_sees_the_latest_steps_only_and_cut(solve, corridor, scripted, by_purpose) -> None:
    model = scripted(by_purpose(act=reply("wait")))
    method = MethodSettings(
        decompose=DecomposeSettings(enabled=True), judge=JudgeSettings(history_steps=2, observation_chars=10)
    )
    solve(method, corridor(), model)
    assert model.of(Purpose.SUBTASK_DONE)[-1].prompt.splitlines()[3:-1] == ["> wait", "You are i…"] * 2


def test_without_a_list_the_task_is_the_subtask(solve, corridor, scripted, by_purpose) -> None:
    model = scripted(by_purpose(plan="Just walk."))
    trajectory = solve(MethodSettings(decompose=DecomposeSettings(enabled=True)), corridor(), model)
    assert trajectory.paths[0].subtasks == ["reach the last cell"]
    assert trajectory.notices["planner_unparsable"] == 1


@pytest.mark.parametrize("replan", [False, True])
def test_planning_again_only_where_asked_for(replan, solve, corridor, scripted, by_purpose) -> None:
    model = scripted(by_purpose(act=reply("stop"), plan=lambda m, r: f"1. plan {r.path}"))
    method = replace(OURS, num_branch=1, decompose=DecomposeSettings(enabled=True, replan=replan))
    trajectory = solve(method, corridor(), model)
    assert [path.subtasks for path in trajectory.paths] == [["plan 0"], ["plan 1" if replan else "plan 0"]]
    plans = model.of(Purpose.PLAN)
    assert len(plans) == 1 + replan
    assert not replan or "path 1, step 1: stop" in plans[1].prompt


def test_planner_and_judge_have_models_of_their_own(solve, corridor, scripted, by_purpose) -> None:
    models = [scripted(by_purpose(act=wanderer)) for _ in range(3)]
    solve(OURS, corridor(), Roles(*models))
    roles = [{asked.request.role for asked in model.asked} for model in models]
    assert roles == [{"policy"}, {"planner"}, {"judge"}]


# Branching


def by_branch(*actions: str):
    return lambda messages, request: actions[request.branch]


def test_the_judge_picks_among_distinct_actions(solve, corridor, scripted, by_purpose) -> None:
    model = scripted(by_purpose(act=by_branch(reply("wait"), reply("WAIT"), reply("stop")), pick="2"))
    trajectory = solve(replace(REACT, num_branch=3), corridor(), model)
    (step,) = trajectory.paths[0].steps
    assert step.chosen == 2 and [candidate.duplicate for candidate in step.candidates] == [False, True, False]
    assert model.of(Purpose.PICK)[0].prompt.splitlines()[2:] == [
        "At the start: You are in cell 0.",
        "Possible next actions:",
        "1. wait",
        "2. stop",
        "Which action is best now? Answer with its number.",
    ]


@pytest.mark.parametrize("answers", ["auto", "parsed"])
def test_verdicts_and_picks_name_their_choices(answers, solve, corridor, scripted, by_purpose) -> None:
    model = scripted(by_purpose(act=by_branch(reply("right"), reply("wait")), plan="1. a\n2. b"))
    solve(replace(OURS, judge=JudgeSettings(answers=answers)), corridor(rounds=3), model)
    verdicts, picks = model.of(Purpose.SUBTASK_DONE, Purpose.TASK_DONE), model.of(Purpose.PICK)
    assert verdicts and picks
    constrained = answers == "auto"
    assert {asked.sampling.choices for asked in verdicts} == {("Yes", "No") if constrained else ()}
    assert {asked.sampling.choices for asked in picks} == {("1", "2") if constrained else ()}
    assert {asked.sampling.choices for asked in model.of(Purpose.ACT, Purpose.PLAN, Purpose.SCORE)} == {()}


def test_a_single_action_needs_no_judge(solve, corridor, scripted, by_purpose) -> None:
    same = scripted(by_purpose(act=by_branch(reply("stop"), reply("Stop", "else"))))
    solve(replace(REACT, num_branch=2), corridor(), same)
    assert not same.of(Purpose.PICK)
    lone = scripted(by_purpose(act=by_branch("I cannot say", reply("stop"))))
    trajectory = solve(replace(REACT, num_branch=2), corridor(), lone)
    assert not lone.of(Purpose.PICK) and trajectory.paths[0].steps[0].chosen == 1


def test_without_any_action_the_first_reply_stands(solve, corridor, scripted, by_purpose) -> None:
    trajectory = solve(replace(REACT, num_branch=2), corridor(), scripted(by_purpose(act=by_branch("a", "b"))))
    assert trajectory.paths[0].steps[0].candidate.reply == "a"
    assert trajectory.outcome is Outcome.INVALID_ACTION and trajectory.reward == 0.0


def test_an_unreadable_pick_takes_the_first_and_is_counted(solve, corridor, scripted, by_purpose) -> None:
    model = scripted(by_purpose(act=by_branch(reply("stop"), reply("wait")), pick="3"))
    trajectory = solve(replace(REACT, num_branch=2), corridor(), model)
    assert trajectory.paths[0].steps[0].chosen == 0
    assert trajectory.paths[0].steps[0].notices == ["pick_unparsable"]
    assert trajectory.notices == {"pick_unparsable": 1}


# Composition, requests


@pytest.mark.parametrize(("decompose", "branch", "backtrack"), itertools.product([False, True], repeat=3))
def test_the_switches_compose(decompose, branch, backtrack, solve, corridor, scripted, by_purpose) -> None:
    method = MethodSettings(
        num_path=2 if backtrack else 1,
        num_branch=2 if branch else 1,
        decompose=DecomposeSettings(enabled=decompose),
        backtrack=BacktrackSettings(enabled=backtrack, final="last"),
    )
    model = scripted(by_purpose(act=by_branch(reply("wait"), reply("left"))))
    trajectory = solve(method, corridor(rounds=3), model)
    counts = {purpose: len(model.of(purpose)) for purpose in Purpose}
    paths = 1 + backtrack
    assert len(trajectory.paths) == paths
    assert counts == {
        Purpose.PLAN: int(decompose),
        Purpose.ACT: 3 * paths * (1 + branch),
        Purpose.PICK: 3 * paths * branch,
        Purpose.SUBTASK_DONE: 2 * paths * decompose,
        Purpose.TASK_DONE: int(backtrack),
        Purpose.SCORE: 0,
        Purpose.WRITE: 0,
    }


def test_reply_lengths_and_judging_are_as_set(solve, corridor, scripted, by_purpose) -> None:
    limits = ReplyTokens(action=11, plan=12, verdict=13, pick=14, score=15)
    model = scripted(by_purpose(act=by_branch(reply("wait"), reply("left"))))
    solve(replace(OURS, max_tokens=limits, top_p=0.9), corridor(rounds=2), model)
    lengths = {asked.request.purpose: asked.sampling.max_tokens for asked in model.asked}
    asked_here = [purpose for purpose in Purpose if purpose is not Purpose.WRITE]  # no method writes data
    assert lengths == dict(zip(asked_here, (12, 11, 14, 13, 13, 15), strict=True))
    assert {asked.sampling.temperature for asked in model.asked if asked.request.role != "policy"} == {0.0}
    assert {asked.sampling.top_p for asked in model.asked if asked.sampling.temperature > 0} == {0.9}


def test_candidates_of_one_step_are_asked_together(solve, corridor, scripted, by_purpose) -> None:
    together: list[int] = []

    def act(messages: Sequence[Message], request: Request) -> str:
        together.append(model.running)
        return reply("stop")

    model = scripted(by_purpose(act=act))
    solve(replace(REACT, num_branch=3), corridor(), model)
    assert together == [2, 1, 0]


def test_transient_text_is_shown_once(solve, corridor, scripted, by_purpose) -> None:
    model = scripted(by_purpose(act=reply("wait")))
    trajectory = solve(REACT, corridor(rounds=3, transient="Commands: left"), model)
    for asked in model.asked:
        shown = [message.content.count("Commands") for message in asked.messages]
        assert shown == [0] * (len(shown) - 1) + [1]
    assert trajectory.paths[0].steps[0].observation == "You are in cell 0."


def test_the_first_observation_joins_an_opening_that_ends_with_the_user(
    corridor, scripted, by_purpose, context
) -> None:
    model = scripted(by_purpose(act=reply("stop")))
    opening = [Message("system", "S"), Message("user", "Walk.")]
    coroutine = Method(REACT).solve(
        corridor(), Roles.all_one(model), BudgetSettings(), replace(context, opening=opening)
    )
    trajectory = asyncio.run(coroutine)
    assert model.asked[0].messages == (Message("system", "S"), Message("user", "Walk.\nYou are in cell 0."))
    assert trajectory.metadata == {"kind": "mock"} and (trajectory.sample, trajectory.trial) == ("s1", 0)


# Endings


@pytest.mark.parametrize("limit", range(1, 30))
def test_running_out_of_calls_keeps_what_is_finished(limit, solve, corridor, scripted, by_purpose) -> None:
    script = by_purpose(act=by_branch(reply("wait"), reply("left")))
    whole = scripted(script)
    full = solve(OURS, corridor(rounds=3), whole)
    model = scripted(script)
    trajectory = solve(OURS, corridor(rounds=3), model, BudgetSettings(max_calls=limit))
    assert exact(model) == exact(whole)[: len(model.asked)]
    assert len(model.asked) == len(trajectory.calls) <= limit
    if limit >= len(whole.asked):
        assert trajectory == full and trajectory.limit == ""
        return
    assert limit - len(model.asked) < OURS.num_branch
    assert trajectory.outcome is Outcome.BUDGET and trajectory.limit == f"max_calls={limit}"
    steps = [step.candidate.action for path in trajectory.paths for step in path.steps]
    assert steps == [step.candidate.action for path in full.paths for step in path.steps][: len(steps)]
    assert all(path.outcome is Outcome.TASK_LIMIT for path in trajectory.paths[:-1])


def test_a_finished_path_counts_before_one_that_was_cut(solve, corridor, scripted, by_purpose) -> None:
    def act(messages: Sequence[Message], request: Request) -> str:
        return reply("right" if request.path == 0 else "wait")

    method = replace(BACKTRACK, backtrack=BacktrackSettings(enabled=True, final="last"))
    trajectory = solve(method, corridor(), scripted(by_purpose(act=act)), BudgetSettings(max_calls=6))
    assert [path.outcome for path in trajectory.paths] == [Outcome.COMPLETED, Outcome.BUDGET]
    assert trajectory.selected == 0 and trajectory.reward == 1.0 and trajectory.success
    assert trajectory.outcome is Outcome.BUDGET


def test_the_other_budgets(solve, corridor, scripted, by_purpose) -> None:
    environment = corridor()
    trajectory = solve(REACT, environment, scripted(by_purpose()), BudgetSettings(max_steps=2))
    assert environment.steps == 2 and trajectory.limit == "max_steps=2" and len(trajectory.paths[0].steps) == 2
    model = scripted(by_purpose())
    trajectory = solve(REACT, corridor(), model, BudgetSettings(max_tokens=1))
    assert len(model.asked) == 1 and trajectory.limit == "max_tokens=1"
    now = [0.0]

    def slow(request: Request) -> None:
        now[0] += 10

    model = scripted(by_purpose())
    model.on_call = slow
    trajectory = solve(REACT, corridor(), model, BudgetSettings(max_seconds=15), lambda: now[0])
    assert trajectory.limit == "max_seconds=15" and trajectory.seconds == 20 and len(trajectory.paths[0].steps) == 1


def test_the_token_budget_does_not_split_the_candidates_of_a_step(solve, corridor, scripted, by_purpose) -> None:
    model = scripted(by_purpose())
    trajectory = solve(replace(REACT, num_branch=3), corridor(), model, BudgetSettings(max_tokens=1))
    assert len(model.asked) == 3 and trajectory.outcome is Outcome.BUDGET


def test_a_call_that_hangs_is_stopped(corridor, scripted, by_purpose, context) -> None:
    class Hanging(scripted):
        async def generate(self, messages, sampling, request):
            await asyncio.Event().wait()

    roles = Roles.all_one(Hanging(by_purpose()))
    trajectory = asyncio.run(Method(REACT).solve(corridor(), roles, BudgetSettings(max_seconds=0.05), context))
    assert trajectory.outcome is Outcome.BUDGET and trajectory.limit == "max_seconds=0.05"


def test_context_overflow_ends_the_path_only(solve, corridor, scripted, by_purpose) -> None:
    policy = scripted(by_purpose(act=reply("wait")), context_length=40)
    other = scripted(by_purpose())
    method = replace(BACKTRACK, backtrack=BacktrackSettings(enabled=True, context_share=0))
    trajectory = solve(method, corridor(rounds=30), Roles(policy, other, other))
    assert [path.outcome for path in trajectory.paths] == [Outcome.CONTEXT_LIMIT] * 2
    assert trajectory.outcome is Outcome.CONTEXT_LIMIT and trajectory.paths[0].steps


@pytest.mark.parametrize("context_length", [60, 48])
def test_a_long_history_is_trimmed_where_that_is_asked_for(
    context_length, solve, corridor, scripted, by_purpose
) -> None:
    def play(long_history: str):
        model = scripted(by_purpose(act=reply("wait")), context_length=context_length)
        method = replace(REACT, long_history=long_history, max_tokens=ReplyTokens(action=8))
        return model, solve(method, corridor(rounds=20), model)

    _, ended = play("end")
    assert ended.paths[0].outcome is Outcome.CONTEXT_LIMIT and "history_trimmed" not in ended.notices
    model, trimmed = play("trim")
    assert trimmed.paths[0].outcome is Outcome.TASK_LIMIT and len(trimmed.paths[0].steps) == 20
    opening = model.asked[0].messages[0].content
    shortened = 0
    for asked in model.asked:
        assert model.count_tokens(asked.messages) <= context_length - 8
        assert asked.messages[0].content.startswith(opening)
        assert [message.role for message in asked.messages] == ["user", "assistant"] * (len(asked.messages) // 2) + [
            "user"
        ]
        shortened += "earlier messages are left out here.)" in asked.messages[0].content
    assert shortened == trimmed.notices["history_trimmed"] > 5


def test_a_judge_with_a_small_context_is_as_one_that_says_nothing(solve, corridor, scripted, by_purpose) -> None:
    policy, small = scripted(by_purpose()), scripted(by_purpose(), context_length=5)
    trajectory = solve(replace(OURS, num_branch=1), corridor(), Roles(policy, small, small))
    assert trajectory.paths[0].outcome is Outcome.COMPLETED
    assert trajectory.notices["planner_overflow"] == trajectory.notices["planner_unparsable"] == 1
    assert trajectory.notices["judge_overflow"] > 0


@pytest.mark.parametrize("failing", range(6))
def test_backend_errors_pass_through_and_cancel_the_other_candidates(
    failing, solve, corridor, scripted, by_purpose
) -> None:
    model = scripted(by_purpose())
    count = itertools.count()

    def fail(request: Request) -> None:
        if next(count) == failing:
            raise BackendError("gone")

    model.on_call = fail
    with pytest.raises(BackendError, match="gone"):
        solve(replace(OURS, num_branch=3), corridor(), model)
    assert model.running == 0


@pytest.mark.timeout(10)
def test_a_failed_candidate_takes_those_that_hang_with_it(corridor, scripted, by_purpose, context) -> None:
    class Hanging(scripted):
        async def generate(self, messages, sampling, request):
            if request.branch == 1:
                raise BackendError("gone")
            await asyncio.Event().wait()

    roles = Roles.all_one(Hanging(by_purpose()))
    with pytest.raises(BackendError, match="gone"):
        asyncio.run(Method(replace(REACT, num_branch=3)).solve(corridor(), roles, BudgetSettings(), context))


def test_an_end_without_an_outcome_is_the_environment_s_fault(solve, corridor, scripted, by_purpose) -> None:
    class Silent(corridor):
        def _result(self, reward, verdict, outcome):
            return replace(super()._result(reward, verdict, outcome), outcome=None)

    with pytest.raises(RuntimeError, match="done without an outcome"):
        solve(REACT, Silent(), scripted(by_purpose()))


def test_loops_and_forgiveness_are_counted(solve, corridor, scripted, by_purpose) -> None:
    trajectory = solve(REACT, corridor(rounds=5), scripted(by_purpose(act="Thought: so\nAction: wait")))
    notices = [step.notices for step in trajectory.paths[0].steps]
    assert notices == [[], [], ["loop"], ["loop"], ["loop"]]
    assert trajectory.notices == {"forgiven:label": 5, "loop": 3}
    alternating = by_purpose(act=lambda m, r: reply("wait" if r.step % 2 else "left"))
    assert solve(REACT, corridor(rounds=5), scripted(alternating)).notices == {}


def test_success_is_the_caller_s_threshold(corridor, scripted, by_purpose, context) -> None:
    script = by_purpose(act=lambda m, r: reply("right" if r.step == 0 else "stop"))
    for threshold, success in ((0.3, True), (0.4, False)):
        coroutine = Method(REACT).solve(
            corridor(),
            Roles.all_one(scripted(script)),
            BudgetSettings(),
            replace(context, success_threshold=threshold),
        )
        assert asyncio.run(coroutine).success is success
