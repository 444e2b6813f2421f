"""The expert as a model, driven by the real reasoning methods over the simulated household."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter

import pytest

from agentx.conversation import Message
from agentx.models.chat import ChatModel, Request, Roles, Sampling
from agentx.reasoning.decomposition import parse_plan
from agentx.reasoning.judge import parse_pick, parse_score, parse_verdict
from agentx.reasoning.method import EpisodeContext, Method
from agentx.reasoning.settings import BacktrackSettings, BudgetSettings, DecomposeSettings, MethodSettings
from agentx.reasoning.styles import Style
from agentx.tasks.environment import Environment
from agentx.tasks.household.environment import HouseholdEnvironment
from agentx.tasks.household.expert import HouseholdExpert
from agentx.tasks.household.expert_model import ExpertModel, progress, subtasks
from agentx.tasks.household.prompts import opening
from agentx.tasks.household.room import TASK_TYPES, Goal, Room, random_room
from agentx.tasks.household.settings import Settings
from agentx.tasks.household.simulated_state import SimulatedState
from agentx.tasks.household.simulator import SimulatedHousehold
from agentx.trajectory import Outcome, Purpose, Trajectory

OURS = {"num_path": 2, "num_branch": 2, "decompose": DecomposeSettings(enabled=True)}


def solve(room: Room, settings: MethodSettings, prompt: str = "compact", **expert) -> tuple[Trajectory, ExpertModel]:
    environment = SimulatedHousehold(room, Settings(prompt=prompt))  # type: ignore[arg-type]
    model = ExpertModel(environment.state, settings.style, **expert)  # type: ignore[arg-type]
    context = EpisodeContext(0, f"room-{room.seed}", 0, opening(room.task_type, settings.style, 0, prompt))
    trajectory = asyncio.run(Method(settings).solve(environment, Roles.all_one(model), BudgetSettings(), context))
    return trajectory, model


def ask(model: ExpertModel, purpose: Purpose, question: str = "", branch: int = 0, path: int = 0) -> str:
    request = Request(purpose=purpose, branch=branch, path=path)
    return asyncio.run(model.generate([Message("user", question)], Sampling(), request)).text


def test_it_is_a_chat_model_and_the_simulation_an_environment():
    room = random_room(0, TASK_TYPES[0])
    environment = SimulatedHousehold(room)
    assert isinstance(environment, Environment) and isinstance(environment, HouseholdEnvironment)
    assert isinstance(ExpertModel(environment.state, "io"), ChatModel)
    assert environment.simulated


@pytest.mark.parametrize("style", ["io", "cot", "react"])
@pytest.mark.parametrize("prompt", ["compact", "plain"])
def test_every_style_solves_every_type_in_perfect_format(style, prompt):
    for seed, task_type in enumerate(TASK_TYPES):
        trajectory, model = solve(random_room(seed, task_type), MethodSettings(style=style), prompt)
        assert trajectory.success and trajectory.outcome is Outcome.COMPLETED
        assert not trajectory.notices
        assert not model.strayed


def test_classic_text_is_spoken_and_understood():
    room = random_room(2, TASK_TYPES[0])
    environment = SimulatedHousehold(room, Settings(prompt="plain", text="classic"))
    model = ExpertModel(environment.state, "react", text="classic")
    settings = MethodSettings(style="react", num_branch=2)
    context = EpisodeContext(0, "room", 0, opening(room.task_type, "react", 0))
    trajectory = asyncio.run(Method(settings).solve(environment, Roles.all_one(model), BudgetSettings(), context))
    actions = [step.candidate.action or "" for step in trajectory.paths[0].steps]
    assert trajectory.success and not trajectory.notices.get("matched")
    assert actions[-1].startswith("put ") and " in/on " in actions[-1]


def test_ours_solves_everything_with_plans_verdicts_and_picks():
    settings = MethodSettings(style="react", backtrack=BacktrackSettings(enabled=True), **OURS)
    asked: Counter[Purpose] = Counter()
    for seed in range(24):
        room = random_room(seed, TASK_TYPES[seed % 6])
        trajectory, _ = solve(room, settings)
        assert trajectory.success
        unparsable = {name for name in trajectory.notices if "unparsable" in name or name.startswith("forgiven")}
        assert not unparsable
        asked.update(call.purpose for call in trajectory.calls)
        (path,) = trajectory.paths
        assert 2 <= len(path.subtasks) <= 3
        done = [step.subtask for step in path.steps if step.subtask_done]
        assert done == list(range(len(done))), "each subtask is judged done once, in order"
        assert path.steps[-1].subtask == len(path.subtasks) - 1, "the goal is reached with the last subtask"
    assert asked[Purpose.PLAN] == 24
    assert asked[Purpose.SUBTASK_DONE] > 100 and asked[Purpose.PICK] > 50


def test_weak_paths_fail_and_the_next_one_succeeds():
    settings = MethodSettings(style="react", num_path=2, backtrack=BacktrackSettings(enabled=True))
    results = [solve(random_room(seed, TASK_TYPES[seed % 6]), settings, weak_paths=1)[0] for seed in range(24)]
    second = [trajectory for trajectory in results if len(trajectory.paths) == 2]
    assert len(second) > 8
    assert sum(trajectory.success for trajectory in second) >= len(second) - 1
    assert all(trajectory.paths[0].judged_success is False for trajectory in second)
    assert all(trajectory.paths[1].judged_success for trajectory in second if trajectory.success)


def test_deviations_are_recorded():
    settings = MethodSettings(style="react", num_branch=3)
    room = random_room(3, TASK_TYPES[5])
    trajectory, model = solve(room, settings, mistakes=0.3)
    assert trajectory.success
    assert {branch for _, _, branch in model.strayed} == {0, 1, 2}
    assert solve(room, settings, mistakes=0.3)[1].strayed == model.strayed
    quiet = solve(room, MethodSettings(style="react"))[1]
    assert not quiet.strayed


def test_contested_steps_make_the_judges_answers_differ():
    answers: Counter[str] = Counter()
    for seed in range(18):
        settings = MethodSettings(style="react", num_branch=2)
        trajectory, _ = solve(random_room(seed, TASK_TYPES[seed % 6]), settings, contested=0.4, seed=seed)
        assert trajectory.success
        answers.update(call.text for call in trajectory.calls if call.purpose is Purpose.PICK)
    assert set(answers) == {"1", "2"}
    assert 0.3 < answers["2"] / answers.total() < 0.7


def test_the_judge_prefers_the_experts_move_then_what_is_possible():
    state = SimulatedState(random_room(1, TASK_TYPES[0]))
    model = ExpertModel(state, "react")
    expert = HouseholdExpert(state.room.goal)
    expert.observe(state.log[0][1])
    first = expert.decide().action
    other = next(f"go to {r.name}" for r in state.room.receptacles if f"go to {r.name}" not in (first,))
    # Earlier numbered lines, e.g. of a plan, are no candidates.
    question = f"1. find it\n2. put it\nPossible next actions:\n1. inventory\n2. {other}\n3. {first}\nWhich?"
    assert ask(model, Purpose.PICK, question) in ("2", "3")
    orders = {ask(ExpertModel(state, "react", seed=seed), Purpose.PICK, question) for seed in range(20)}
    assert "3" in orders
    assert ask(model, Purpose.PICK, f"1. take mug 9 from nowhere 1\n2. inventory\n3. {other}") == "3"
    assert ask(model, Purpose.PICK, "1. take mug 9 from nowhere 1\n2. inventory") == "2"
    assert ask(model, Purpose.PICK, "no candidates at all") == "1"


@pytest.mark.parametrize("task_type", TASK_TYPES)
@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_plans_keep_to_the_limit_and_parse(task_type, most):
    state = SimulatedState(random_room(2, task_type))
    model = ExpertModel(state, "react", max_subtasks=most)
    lines = parse_plan(ask(model, Purpose.PLAN), most)
    assert lines == [subtask.text for subtask in subtasks(state.room.goal, most)]
    assert 1 <= len(lines) <= most
    assert state.room.goal.item.lower() in lines[0]


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_progress_and_verdicts_follow_the_true_state(task_type):
    room = random_room(5, task_type)
    state = SimulatedState(room)
    model, expert = ExpertModel(state, "io"), HouseholdExpert(room.goal)
    plan = subtasks(room.goal, 3)
    expert.observe(state.restart())
    marks, verdicts = [progress(state)], []
    while not state.won:
        expert.observe(state.do(expert.decide().action))
        marks.append(progress(state))
        verdicts.append([ask(model, Purpose.SUBTASK_DONE, f"Subtask: {subtask.text}") for subtask in plan])
        assert parse_score(ask(model, Purpose.SCORE)) == round(10 * marks[-1]) / 10
        assert parse_verdict(ask(model, Purpose.TASK_DONE)) is state.won
    assert marks[0] == 0 and marks[-1] == 1 and sorted(marks) == marks and len(set(marks)) >= 3
    assert verdicts[-1] == ["Yes"] * len(plan)
    for earlier, later in itertools.pairwise(verdicts):
        assert all(b == "Yes" for a, b in zip(earlier, later, strict=True) if a == "Yes")
    assert ask(model, Purpose.SUBTASK_DONE, "Subtask: something else") == "Yes", "unknown subtasks mean the whole task"


def test_replies_carry_what_the_style_allows():
    room = random_room(0, TASK_TYPES[2])
    for style in ("io", "cot", "react"):
        state = SimulatedState(room)
        parsed = Style(style).parse(ask(ExpertModel(state, style), Purpose.ACT))
        assert parsed.forgiven == ()
        assert (parsed.thought == "") == (style == "io")
    reasoning = ask(ExpertModel(SimulatedState(room), "cot"), Purpose.ACT)
    assert room.task in reasoning
    assert parse_pick("3", 3) == 2


def test_an_unknown_style_is_refused():
    with pytest.raises(ValueError, match="style 'tot'"):
        ExpertModel(SimulatedState(random_room(0, TASK_TYPES[0])), "tot")  # type: ignore[arg-type]


def test_simulated_and_real_environments_agree_under_the_rules():
    from agentx.tasks.environment import Action
    from agentx.tasks.household.engine import Engine
    from agentx.tasks.household.games import build_game

    async def both(seed: int, prompt: str) -> None:
        room = random_room(seed, TASK_TYPES[seed % 6], "test", (5, 8), 12)
        game, settings = build_game(room), Settings(prompt=prompt, max_rounds=20)  # type: ignore[arg-type]
        real, simulated = HouseholdEnvironment(lambda: Engine(game), settings), SimulatedHousehold(room, settings)
        assert await real.reset() == await simulated.reset()
        assert real.task_statement == simulated.task_statement == room.task
        rng = random.Random(seed)
        done = False
        while not done:
            command = rng.choice([*simulated.state.admissible_commands(), "take it", "go to the moon", "", "look now"])
            action = Action(command or None, f"ACTION: {command}")
            one, other = await real.step(action), await simulated.step(action)
            assert one == other
            done = one.done
        await real.close()
        await simulated.close()

    for seed in range(6):
        asyncio.run(both(seed, ("plain", "compact")[seed % 2]))


def test_goals_without_target_have_plans():
    texts = [subtask.text for subtask in subtasks(Goal("look_at_obj_in_light", "Book", lamp="DeskLamp"), 3)]
    assert texts == ["find one book and take it", "use the desklamp"]
