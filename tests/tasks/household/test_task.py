from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from agentx.errors import ConfigError
from agentx.tasks.environment import Action, Task, TaskDataError
from agentx.tasks.household import room, settings
from agentx.tasks.household.settings import Settings
from agentx.tasks.household.task import make_task
from agentx.trajectory import Outcome, Trajectory

ROOT = Path(__file__).parents[3]
SHARED_DATA = Path(os.environ.get("AGENTX_SHARED_DATA", ROOT.parent / "shared" / "data"))
SMALL = Settings(samples=6, receptacles=(5, 7), objects=6)


@dataclass
class Paths:
    output: Path | None
    alfworld: Path | None = None
    agentbench: Path | None = None


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return Paths(tmp_path_factory.mktemp("output"))


def test_generated_games_are_solvable_and_never_called_alfworld(paths):
    task = make_task(SMALL, paths)
    assert isinstance(task, Task)
    assert task.label == "household (generated)"
    assert [sample.kind for sample in task.samples] == list(room.TASK_TYPES)
    assert len({sample.id for sample in task.samples}) == 6

    async def win(sample) -> Outcome | None:
        environment = await task.open(sample)
        await environment.reset()
        for number, command in enumerate(json.loads(task.files[sample.id].read_text())["walkthrough"]):
            result = await environment.step(Action(command, f"{number} ACTION: {command}"))
        await environment.close()
        return result.outcome

    assert {asyncio.run(win(sample)) for sample in task.samples} == {Outcome.COMPLETED}


def test_games_are_made_once(paths, monkeypatch):
    first = make_task(SMALL, paths)

    def refuse(*_arguments):
        raise AssertionError("generated again")

    monkeypatch.setattr("agentx.tasks.household.games.generate_games", refuse)
    again = make_task(replace(SMALL, max_rounds=10, text="classic", prompt="compact"), paths)
    assert again.files == first.files and again.samples == first.samples
    for change in ({"seed": 1}, {"split": "train"}, {"objects": 7}, {"receptacles": (6, 7)}, {"samples": 5}):
        with pytest.raises(AssertionError, match="generated again"):
            make_task(replace(SMALL, **change), paths)


def test_the_same_settings_give_the_same_games_anywhere(paths, tmp_path):
    first, second = make_task(SMALL, paths), make_task(SMALL, Paths(tmp_path))
    assert [path.read_bytes() for path in first.files.values()] == [path.read_bytes() for path in second.files.values()]


def test_an_interrupted_generation_leaves_nothing_behind(tmp_path, monkeypatch):
    made = []

    def interrupted(*arguments):
        from agentx.tasks.household.games import build_game
        from agentx.tasks.household.room import random_room

        one = random_room(0, room.PICK)
        made.append(one)
        yield "one", one, build_game(one, ["look"])
        raise KeyboardInterrupt

    monkeypatch.setattr("agentx.tasks.household.games.generate_games", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_task(SMALL, Paths(tmp_path))
    assert made and list((tmp_path / "games").iterdir()) == []


def test_a_damaged_cache_says_what_to_do(tmp_path):
    task = make_task(replace(SMALL, samples=1, task_types=[room.PICK]), Paths(tmp_path))
    index = next(iter(task.files.values())).parents[1] / "games.json"
    index.write_text("[{}]")
    with pytest.raises(TaskDataError, match="delete the folder"):
        make_task(replace(SMALL, samples=1, task_types=[room.PICK]), Paths(tmp_path))


def test_train_and_test_are_on_different_floor_plans(tmp_path):
    plans = {}
    for split in ("train", "test"):
        task = make_task(replace(SMALL, split=split, samples=12), Paths(tmp_path))
        plans[split] = {sample.metadata["floor_plan"] for sample in task.samples}
        assert {sample.split for sample in task.samples} == {split}
    assert not plans["train"] & plans["test"]


def test_the_opening_follows_prompt_and_text(paths):
    sample = make_task(SMALL, paths).samples[0]
    plain = make_task(SMALL, paths).opening(sample, "react", 1)
    assert any("ACTION: move" in message.content for message in plain)
    classic = make_task(replace(SMALL, text="classic"), paths).opening(sample, "react", 1)
    assert not any("ACTION: move" in message.content for message in classic)
    compact = make_task(replace(SMALL, prompt="compact"), paths).opening(sample, "io", 0)
    assert len(compact) == 1


def test_success_rates_are_over_all_results(paths):
    task = make_task(SMALL, paths)
    trajectories = [
        Trajectory(sample.id, reward=reward) for sample, reward in zip(task.samples, (1, 0, 1, 0, 0, 0), strict=True)
    ]
    trajectories.append(Trajectory(task.samples[0].id, reward=0.0, outcome=Outcome.CONTEXT_LIMIT))
    scores = task.aggregate(trajectories)
    assert scores["success_rate"] == pytest.approx(2 / 7)
    assert scores["success_rate/pick_and_place_simple"] == 0.5
    assert scores["success_rate/pick_two_obj_and_place"] == 0
    assert task.aggregate([]) == {}


def test_official_labels_say_how_much_of_the_split_was_played(tmp_path, make_game):
    lists = tmp_path / "lists" / "alfworld"
    lists.mkdir(parents=True)
    names = [f"json_2.1.1/valid_unseen/pick_and_place_simple-A-None-B-{number}/t/game.tw-pddl" for number in range(4)]
    names.append("json_2.1.1/valid_unseen/look_at_obj_in_light-A-None-B-1/t/game.tw-pddl")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(json.dumps(make_game(0)))
    for split in ("dev", "standard"):
        (lists / f"{split}.json").write_text(json.dumps({"a": names}))
    places = Paths(tmp_path, tmp_path, tmp_path / "lists")
    official = replace(SMALL, source="official", split="standard", samples=None)
    task = make_task(official, places)
    assert task.label == "ALFWorld (std)" and len(task.samples) == 5
    assert make_task(replace(official, split="dev"), places).label == "ALFWorld (dev)"
    assert make_task(replace(official, samples=2), places).label == "ALFWorld (std, 2 of 5)"
    some = make_task(replace(official, task_types=[room.LOOK]), places)
    assert some.label == "ALFWorld (std, 1 of 5)" and some.samples[0].kind == room.LOOK
    with pytest.raises(TaskDataError, match="no game of the types"):
        make_task(replace(official, task_types=[room.HEAT]), places)

    environment = asyncio.run(task.open(task.samples[0]))
    assert "Your task is to" in asyncio.run(environment.reset()).text
    asyncio.run(environment.close())


@pytest.mark.skipif(not (SHARED_DATA / "agentbench").is_dir(), reason="no AgentBench lists: set AGENTX_SHARED_DATA")
@pytest.mark.parametrize(("split", "label", "count"), [("dev", "dev", 20), ("standard", "std", 50)])
def test_agentbench_s_own_lists_are_read(tmp_path, make_game, split, label, count):
    text = json.dumps(make_game(0))
    for names in json.loads((SHARED_DATA / "agentbench" / "alfworld" / f"{split}.json").read_text()).values():
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
    places = Paths(tmp_path, tmp_path / "json_2.1.1", SHARED_DATA / "agentbench")
    task = make_task(Settings(source="official", split=split, samples=None), places)
    assert (len(task.samples), task.label) == (count, f"ALFWorld ({label})")
    assert {sample.kind for sample in task.samples} <= set(room.TASK_TYPES)
    few = make_task(Settings(source="official", split=split, samples=6), places)
    assert len({sample.kind for sample in few.samples}) >= 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "dev"}, r"task\.split=dev: task\.source=generated has train, test"),
        ({"source": "official"}, r"task\.split=test: task\.source=official has dev, standard"),
        ({"split": "tset"}, "did you mean test"),
        ({"samples": None}, r"task\.samples=null"),
        ({"samples": 0}, r"task\.samples=0: must be at least 1"),
        ({"objects": 3}, r"task\.objects=3"),
        ({"max_rounds": 0}, r"task\.max_rounds=0"),
        ({"seed": -1}, r"task\.seed=-1"),
        ({"task_types": []}, r"task\.task_types=\[\]"),
        ({"task_types": ["look_at_obj"]}, "did you mean look_at_obj_in_light"),
        ({"task_types": [room.PICK, room.PICK]}, "twice"),
        ({"receptacles": (8, 6)}, r"task\.receptacles=\[8,6\]"),
        ({"receptacles": (3, 6)}, r"4 <= least"),
    ],
)
def test_wrong_settings_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        Settings(**options)


def test_task_types_are_the_generator_s():
    assert settings.TASK_TYPES == room.TASK_TYPES


def test_the_shipped_configuration_has_exactly_the_options():
    shipped = yaml.safe_load((ROOT / "conf" / "task" / "household.yaml").read_text())
    assert set(shipped) == set(Settings.__dataclass_fields__)
    shipped["receptacles"] = tuple(shipped["receptacles"])
    own = {name: value for name, value in shipped.items() if not str(value).startswith("${")}
    assert Settings(**own) == Settings()
