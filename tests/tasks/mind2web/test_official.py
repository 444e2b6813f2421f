from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentx.tasks.environment import TaskDataError
from agentx.tasks.mind2web.official import read_split, with_official_ranks


def task(**changes: Any) -> dict[str, Any]:
    action = {
        "action_uid": "u0",
        "operation": {"op": "CLICK", "value": ""},
        "pos_candidates": [{"backend_node_id": "1"}],
        "neg_candidates": [{"backend_node_id": "2"}],
        "cleaned_html": "<html/>",
    }
    second = action | {"action_uid": "u1"}
    record = {"website": "w", "confirmed_task": "t", "annotation_id": "a", "action_reprs": ["x", "y"]}
    return record | {"actions": [action, second]} | changes


def write(root: Path, content: str, folder: str = "data_std") -> Path:
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / folder / "tasks.json").write_text(content, encoding="utf-8")
    return root


@pytest.mark.parametrize("folder", ["data_train", "data/train", "train"])
def test_one_sample_per_action_from_any_of_the_layouts(tmp_path: Path, folder: str) -> None:
    steps = read_split(write(tmp_path, json.dumps([task()]), folder), "train", None)
    assert [step.id for step in steps] == ["a_u0", "a_u1"]
    assert [step.previous for step in steps] == [(), ("x",)]
    assert [step.in_words for step in steps] == ["x", "y"]
    assert len(read_split(tmp_path, "train", 1)) == 1


def drop(field: str) -> Callable[[dict[str, Any]], None]:
    return lambda record: record["actions"][1].pop(field) and None


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop("cleaned_html"), "record 0, action 1, field cleaned_html: missing"),
        (drop("operation"), "record 0, action 1, field operation: missing"),
        (drop("pos_candidates"), "record 0, action 1, field pos_candidates: missing"),
        (lambda r: r.update(annotation_id=3), "record 0, field annotation_id: is int"),
        (lambda r: r.update(action_reprs=[1]), "record 0, field action_reprs"),
        (lambda r: r["actions"][0].update(neg_candidates=[{}]), "neg_candidates 0, field backend_node_id: missing"),
        (lambda r: r["actions"][0].update(neg_candidates=["x"]), "neg_candidates 0, field backend_node_id: missing"),
        (lambda r: r["actions"][1].update(action_uid="u0"), "field action_uid: a_u0 was there before"),
        (lambda r: r.update(actions=[]), "split std holds no action"),
    ],
)
def test_a_broken_record_is_named(tmp_path: Path, spoil: Callable[[Any], None], message: str) -> None:
    record = task()
    spoil(record)
    with pytest.raises(TaskDataError, match=message) as raised:
        read_split(write(tmp_path, json.dumps([record])), "std", None)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", ["[{", "{}", "", "[" * 100_000, "\x00"])
def test_a_broken_file_is_named(tmp_path: Path, content: str) -> None:
    with pytest.raises(TaskDataError, match=r"tasks\.json") as raised:
        read_split(write(tmp_path, content), "std", None)
    assert "\n" not in str(raised.value)


def test_a_truncated_file_names_the_record_it_ends_in_and_what_was_whole_is_read(tmp_path: Path) -> None:
    content = json.dumps([task(), task(annotation_id="b")])[:-40]
    with pytest.raises(TaskDataError, match=r"tasks\.json: record 1 is broken or cut off"):
        read_split(write(tmp_path, content), "std", None)
    assert len(read_split(tmp_path, "std", 2)) == 2


def test_missing_data_say_which_path_to_set(tmp_path: Path) -> None:
    with pytest.raises(TaskDataError, match=r"set paths\.mind2web"):
        read_split(None, "std", None)
    with pytest.raises(TaskDataError, match=r"no \*\.json in data_std or data/std or std"):
        read_split(tmp_path, "std", None)


def test_a_candidate_without_a_rank_is_named(official_root: Path, tmp_path: Path) -> None:
    steps = read_split(write(tmp_path, json.dumps([task()])), "std", None)
    with pytest.raises(TaskDataError, match="record a_u0: no rank of node 1"):
        with_official_ranks(steps, official_root)
