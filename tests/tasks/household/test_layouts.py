from __future__ import annotations

import random
import subprocess
import sys

import pytest

from agentx.tasks.environment import TaskDataError
from agentx.tasks.household.layouts import (
    HELD_OUT_PER_KIND,
    OFFICIAL_UNSEEN,
    SCENES,
    cut,
    floor_plan,
    knowledge,
    mangle,
    split_scenes,
)

EXPECTED_TEST_SCENES = [
    *(10, 13, 14, 17, 21, 28),
    *(204, 206, 209, 210, 216, 219),
    *(308, 310, 311, 316, 327, 330),
    *(405, 413, 417, 419, 420, 424),
]
ALL_SCENES = [number for scenes in SCENES.values() for number in scenes]


def test_splits_are_disjoint_stratified_and_fixed():
    train, test = set(split_scenes("train")), set(split_scenes("test"))
    assert not train & test
    assert train | test == set(ALL_SCENES)
    for scenes in SCENES.values():
        assert len(test.intersection(scenes)) == HELD_OUT_PER_KIND
    # A changed rule would silently let agents tuned on older data be tested on rooms they have seen.
    assert sorted(test) == EXPECTED_TEST_SCENES


def test_official_unseen_scenes_are_never_trained_on():
    assert not set(OFFICIAL_UNSEEN) & set(split_scenes("train"))


def test_unknown_split_and_scene_are_refused():
    with pytest.raises(TaskDataError, match="use train or test"):
        split_scenes("valid")  # type: ignore[arg-type]
    with pytest.raises(TaskDataError, match="floor plan 31 does not exist"):
        floor_plan(31)


@pytest.mark.parametrize("kind", SCENES)
def test_every_scene_has_receptacles_that_can_hold_something(kind):
    for number in SCENES[kind]:
        plan = floor_plan(number)
        assert plan.kind == kind
        assert len(plan.receptacles) >= 3
        ids = [entity_id for entity_id, _ in plan.receptacles]
        assert len(set(ids)) == len(ids)
        assert ids == sorted(ids, key=mangle)
        assert {name for _, name in plan.receptacles} <= set(knowledge().holds)


def test_kitchens_have_what_heating_cooling_and_cleaning_need():
    for number in SCENES["kitchen"]:
        assert {"Fridge", "Microwave", "SinkBasin"} <= {kind for _, kind in floor_plan(number).receptacles}


def test_cut_keeps_what_is_asked_for_and_the_order():
    plan = floor_plan(11)
    keep = (2, len(plan.receptacles) - 1)
    chosen = cut(plan, 5, keep, random.Random(0))
    assert len(chosen) == 5
    assert {plan.receptacles[position] for position in keep} <= set(chosen)
    assert list(chosen) == [receptacle for receptacle in plan.receptacles if receptacle in chosen]
    assert len(cut(plan, 10_000, keep, random.Random(0))) == len(plan.receptacles)
    assert len(cut(plan, 1, keep, random.Random(0))) == 2


def test_reading_the_data_does_not_import_alfworld():
    code = (
        "import sys; from agentx.tasks.household.room import random_room; "
        "random_room(0, 'pick_and_place_simple'); "
        "print([name for name in ('alfworld', 'textworld', 'torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
