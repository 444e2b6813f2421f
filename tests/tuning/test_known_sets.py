"""Sets by name: known ones, found in the user's folder or on the Hub, and what is said when they cannot be had."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentx.conversation import Message
from agentx.errors import UserError
from agentx.tuning.known_sets import known_sets, read_set
from agentx.tuning.records import RecordError, parse_record

ROOT = Path(__file__).parents[2]
ALPACA = {"instruction": "Add.", "input": "1 and 2", "output": "3"}


def test_every_set_of_the_paper_is_known_with_its_side() -> None:
    sides = {name: known.side for name, known in known_sets().items()}
    general = {"alpaca", "code-alpaca", "codegen", "open-assistant", "sharegpt", "self-instruct"}
    assert sides == {"agentinstruct": "agent", **dict.fromkeys(general, "general")}
    assert all(known.hub.count("/") == 1 and known.holds and known.licence for known in known_sets().values())


def test_every_data_set_of_the_papers_table_is_a_choice_of_its_name() -> None:
    text = (ROOT / "agentx" / "reports" / "paper_values.yaml").read_text()
    named = set(re.findall(r"\bdata: (\w+)", text))
    assert named == {"codegen", "alpaca_code", "oasst", "alpaca", "agenttuning", "ours"}
    for name in named:
        choice = yaml.safe_load((ROOT / "conf" / "data" / f"{name}.yaml").read_text())
        assert choice["name"] == name
        assert set(choice["agent"] + choice["general"]) <= {"constructed", *known_sets()}


def test_a_set_in_the_users_folder_goes_before_the_hub(tmp_path: Path) -> None:
    (tmp_path / "alpaca.json").write_text(json.dumps([ALPACA]))
    data = read_set("alpaca", "stop", tmp_path)
    assert [c.messages[-1].content for c in data.conversations] == ["3"] and data.conversations[0].source == "alpaca"


def test_a_downloaded_set_is_read_with_its_splits_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `hf download --local-dir` leaves it: the set's card names the splits, and other splits are left alone."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "agentinstruct"
    (folder / "data").mkdir(parents=True)
    splits = known_sets()["agentinstruct"].splits
    for split in [*splits, "other"]:
        turns = [{"from": "human", "value": "Go.", "loss": None}, {"from": "gpt", "value": split, "loss": True}]
        (folder / "data" / f"{split}-0.jsonl").write_text(json.dumps({"id": f"{split}_0", "conversations": turns}))
    files = "".join(f"  - split: {split}\n    path: data/{split}-*\n" for split in [*splits, "other"])
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n")
    data = read_set("agentinstruct", "stop", tmp_path)
    assert [c.id for c in data.conversations] == [f"{split}_0" for split in splits]
    assert [c.messages[-1].content for c in data.conversations] == list(splits)


def test_any_set_of_the_hub_with_config_and_split(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[tuple[Any, ...]] = []

    def load(hub: str, config: str | None, *, split: str, data_files: str | None) -> datasets.Dataset:
        asked.append((hub, config, split, data_files))
        return datasets.Dataset.from_list([ALPACA, {**ALPACA, "output": None}])

    monkeypatch.setattr(datasets, "load_dataset", load)
    data = read_set("someone/a-set/short:test", "skip")
    assert len(data.conversations) == 1
    assert data.skipped == ["someone/a-set:row 2: has instruction, input, output, and neither conversations, nor "
                            "messages, nor instruction and output"]  # fmt: skip
    with pytest.raises(UserError, match=r"someone/a-set:row 2: .*data.on_error=skip"):
        read_set("someone/a-set", "stop")
    read_set("sharegpt", "skip")
    assert asked == [
        ("someone/a-set", "short", "test", None),
        ("someone/a-set", None, "train", None),
        ("anon8231489123/ShareGPT_Vicuna_unfiltered", None, "train", "ShareGPT_V3_unfiltered_cleaned_split.json"),
    ]


def test_without_a_network_one_line_says_how_to_get_a_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UserError) as error:
        read_set("alpaca", "stop", tmp_path)
    line = str(error.value)
    assert "\n" not in line and "`hf download --repo-type dataset tatsu-lab/alpaca --local-dir DIR/alpaca`" in line
    assert line.endswith("then set paths.datasets=DIR")
    with pytest.raises(UserError, match=r"--local-dir DIR/set`, then name DIR/set instead"):
        read_set("someone/set", "stop")
    (tmp_path / "alpaca").mkdir()
    with pytest.raises(UserError, match=r"alpaca: does not hold the set alpaca .*downloads it"):
        read_set("alpaca", "stop", tmp_path)


def test_a_misspelt_name_is_told_the_nearest() -> None:
    with pytest.raises(UserError, match=r"alpacca: no such data set; did you mean alpaca\?; there is experts"):
        read_set("alpacca", "stop")
    with pytest.raises(UserError, match=r"paths.datasets=nowhere: no such directory"):
        read_set("alpaca", "stop", Path("nowhere"))


def test_a_directory_of_files_is_one_set(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text(json.dumps(ALPACA))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.json").write_text(json.dumps([{**ALPACA, "output": "4"}]))
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "c.json").write_text("not data")
    (tmp_path / "dataset_infos.json").write_text("{}")
    data = read_set(str(tmp_path), "stop")
    assert [(c.source, c.messages[-1].content) for c in data.conversations] == [("b", "3"), ("a", "4")]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: holds no JSON, JSONL or Parquet file"):
        read_set(str(tmp_path / "empty"), "stop")


@pytest.mark.parametrize(
    ("record", "messages"),
    [
        ({"prompt": "Q", "completion": "A"}, [("user", "Q"), ("assistant", "A")]),
        ({"instruction": "Q", "input": "", "response": "A"}, [("user", "Q"), ("assistant", "A")]),
        (
            {"system": "S", "instruction": "Q", "output": "A", "history": [["q", "a"]]},
            [("system", "S"), ("user", "q"), ("assistant", "a"), ("user", "Q"), ("assistant", "A")],
        ),
        (
            {"text": "### Human: Hi ### not a turn### Assistant: Hello\n### Human: Bye"},
            [("user", "Hi ### not a turn"), ("assistant", "Hello"), ("user", "Bye")],
        ),
    ],
)
def test_further_forms(record: dict[str, Any], messages: list[tuple[str, str]]) -> None:
    conversation = parse_record(record)
    assert [(m.role, m.content) for m in conversation.messages] == messages
    trained = [m for m in conversation.messages if m.trained]
    assert trained == [next(m for m in reversed(conversation.messages) if m.role == "assistant")]
    assert isinstance(trained[0], Message)


def test_a_broken_history_is_told() -> None:
    with pytest.raises(RecordError, match="history: exchange 1 is no pair of strings"):
        parse_record({"instruction": "Q", "output": "A", "history": [["q"]]})
