from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentx.tasks.environment import TaskDataError
from agentx.tasks.household.official import evenly, listed_games, read_game, split_games

PICK = "valid_unseen/pick_and_place_simple-Mug-None-Desk-308/trial_1"
HEAT = "valid_unseen/pick_heat_then_place_in_recep-Egg-None-Fridge-10/trial_2"


@pytest.fixture
def download(tmp_path, make_game):
    """Folders as ALFWorld's and AgentBench's downloads have them."""
    for name in (PICK, HEAT):
        folder = tmp_path / "json_2.1.1" / name
        folder.mkdir(parents=True)
        (folder / "game.tw-pddl").write_text(json.dumps(make_game(0)))
        (folder / "traj_data.json").write_text("{}")
    lists = tmp_path / "agentbench" / "alfworld"
    lists.mkdir(parents=True)
    content = {
        "pick_heat_then_place": [f"json_2.1.1/{HEAT}/game.tw-pddl"],
        "pick_and_place": [f"json_2.1.1/{PICK}/game.tw-pddl"],
    }
    (lists / "standard.json").write_text(json.dumps(content))
    return tmp_path


def add(download: Path, name: str, content: object) -> Path:
    path = download / "json_2.1.1" / name / "game.tw-pddl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_agentbench_s_list_in_its_order(download):
    for alfworld in (download, download / "json_2.1.1"):
        games = listed_games(alfworld, download / "agentbench", "standard")
        assert [game.id for game in games] == [HEAT, PICK]
        assert [game.task_type for game in games] == ["pick_heat_then_place_in_recep", "pick_and_place_simple"]
        assert all(read_game(game.path)["solvable"] for game in games)


def test_a_whole_split_leaves_out_what_alfworld_does_not_play(download, make_game):
    add(download, "valid_unseen/pick_and_place_with_movable_recep-Egg-Pan-Fridge-1/t", make_game(0))
    add(download, "valid_unseen/pick_and_place_simple-AppleSliced-None-Fridge-1/t", make_game(0))
    add(download, "valid_unseen/pick_and_place_simple-Apple-None-Fridge-1/t", {**make_game(0), "solvable": False})
    assert [game.id for game in split_games(download, "valid_unseen")] == [PICK, HEAT]


def test_what_is_missing_is_named_with_what_to_do(download):
    with pytest.raises(TaskDataError, match=r"alfworld-download.*paths\.alfworld="):
        split_games(None, "valid_seen")
    with pytest.raises(TaskDataError, match=r"paths\.agentbench="):
        listed_games(download, None, "dev")
    with pytest.raises(TaskDataError, match=r"paths\.alfworld=.*nowhere: no such folder"):
        split_games(download / "nowhere", "valid_seen")
    with pytest.raises(TaskDataError, match=r"valid_seen is missing.*alfworld-download"):
        split_games(download, "valid_seen")
    with pytest.raises(TaskDataError, match=r"alfworld/dev\.json"):
        listed_games(download, download / "agentbench", "dev")


def test_games_that_are_listed_but_not_there_are_counted(download):
    path = download / "json_2.1.1" / PICK / "game.tw-pddl"
    path.unlink()
    with pytest.raises(TaskDataError, match=r"1 of 2 games of standard.json are missing.*paths\.alfworld="):
        listed_games(download, download / "agentbench", "standard")


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', '{"a": [1]}'])
def test_a_broken_list_is_refused(download, content):
    path = download / "agentbench" / "alfworld" / "standard.json"
    path.write_text(content)
    if content == "[]":
        path.write_text('["x"]')
    with pytest.raises(TaskDataError, match=r"standard\.json"):
        listed_games(download, download / "agentbench", "standard")


def test_broken_games_are_refused(download, make_game):
    broken = add(download, "valid_seen/pick_and_place_simple-A-None-B-1/t", "{")
    with pytest.raises(TaskDataError, match=r"game\.tw-pddl: not valid JSON"):
        split_games(download, "valid_seen")
    game = make_game(0)
    del game["solvable"]
    add(download, "valid_seen/pick_and_place_simple-A-None-B-1/t", game)
    with pytest.raises(TaskDataError, match="'solvable'"):
        read_game(broken)
    add(download, "valid_seen/pick_and_place_simple-A-None-B-1/t", {**game, "solvable": False})
    with pytest.raises(TaskDataError, match="not solvable"):
        read_game(broken)


def test_a_list_cannot_point_outside_the_games(download):
    path = download / "agentbench" / "alfworld" / "standard.json"
    for name in ("../../etc/pick_and_place_simple-A/t/game.tw-pddl", "/etc/passwd", "json_2.1.1/x/game.tw-pddl"):
        path.write_text(json.dumps({"a": [name]}))
        with pytest.raises(TaskDataError):
            listed_games(download, download / "agentbench", "standard")


def test_a_small_sample_is_spread_over_the_list():
    assert evenly(range(10), None) == list(range(10))  # type: ignore[arg-type, comparison-overlap]
    assert evenly(range(10), 3) == [0, 3, 6]  # type: ignore[arg-type, comparison-overlap]
    assert evenly(range(3), 9) == [0, 1, 2]  # type: ignore[arg-type, comparison-overlap]
