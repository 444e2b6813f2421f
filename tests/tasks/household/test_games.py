from __future__ import annotations

import json

import pytest

from agentx.tasks.environment import TaskDataError
from agentx.tasks.household.engine import Engine
from agentx.tasks.household.games import build_game, domain_and_grammar, generate_games, item_ids
from agentx.tasks.household.plan import verify
from agentx.tasks.household.room import TASK_TYPES, TWO, random_room


@pytest.fixture(scope="module")
def games():
    return list(generate_games("test", 6, seed=11, receptacles=(5, 8), objects=8))


def test_all_six_types_are_generated_and_won_on_the_engine(games):
    assert [room.task_type for _, room, _ in games] == list(TASK_TYPES)
    for _, _, game in games:
        assert game["solvable"] is True
        assert verify(game, game["walkthrough"])


def test_games_are_json_of_the_files_form(games, tmp_path):
    _, room, game = games[0]
    path = tmp_path / "game.tw-pddl"
    path.write_text(json.dumps(game))
    assert set(json.loads(path.read_text())) == {"pddl_domain", "grammar", "pddl_problem", "solvable", "walkthrough"}
    engine = Engine(path)
    assert f"Your task is to: {room.task}." in engine.reset().feedback
    engine.close()


def test_names_on_the_engine_are_the_rooms(games):
    for _, room, game in games:
        engine = Engine(game)
        admissible = engine.reset().admissible
        engine.close()
        assert sorted(f"go to {receptacle.name}" for receptacle in room.receptacles) == [
            command for command in admissible if command.startswith("go to ")
        ]


def test_generation_is_deterministic_and_seeded(games):
    again = list(generate_games("test", 2, seed=11, receptacles=(5, 8), objects=8))
    assert again == games[:2]
    (other,) = generate_games("test", 1, seed=12, receptacles=(5, 8), objects=8)
    assert other[1] != games[0][1]
    assert len({name for name, _, _ in games}) == len(games)


def test_bad_arguments_are_refused():
    with pytest.raises(TaskDataError, match="count=-1"):
        list(generate_games("test", -1, seed=0))
    with pytest.raises(TaskDataError, match="at least one task type"):
        list(generate_games("test", 1, seed=0, task_types=()))


def test_a_defective_game_is_not_given_out(monkeypatch):
    monkeypatch.setattr("agentx.tasks.household.games.scripted_plan", lambda room: ["look"])
    with pytest.raises(TaskDataError, match="not won by its plan"):
        list(generate_games("train", 1, seed=0))


def test_higher_numbers_have_earlier_ids():
    room = next(
        room
        for room in (random_room(seed, TWO) for seed in range(50))
        if sum(item.kind == room.goal.item for item in room.items) == 3
    )
    ids = item_ids(room.items)
    wanted = [item.name for item in room.items if item.kind == room.goal.item]
    assert sorted(wanted, key=ids.__getitem__) == sorted(wanted, key=lambda name: -int(name.split()[1]))


def test_a_game_without_plan_does_not_claim_to_be_solvable():
    game = build_game(random_room(0, TWO))
    assert (game["solvable"], game["walkthrough"]) == (False, None)
    assert "UNKNOWN GOAL" in domain_and_grammar()[1] and "UNKNOWN GOAL" not in game["grammar"]
