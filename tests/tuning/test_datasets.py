"""Reading conversations: the known forms, broken files, and real data where it is at hand."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentx.conversation import Conversation, Message
from agentx.errors import UserError
from agentx.tuning.datasets import read_conversations
from agentx.tuning.records import RecordError, parse_record

SHARED = Path(os.environ.get("AGENTX_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")) / "sft"


def write_lines(path: Path, records: Iterable[Any]) -> Path:
    path.write_text("".join(f"{record if isinstance(record, str) else json.dumps(record)}\n" for record in records))
    return path


ALPACA = {"instruction": "Add.", "input": "1 and 2", "output": "3"}
SHAREGPT = {
    "id": "a",
    "conversations": [
        {"from": "human", "value": "Play.", "loss": None},
        {"from": "gpt", "value": "OK", "loss": False},
        {"from": "human", "value": "Go."},
        {"from": "gpt", "value": "ACTION: go", "loss": True},
        {"from": "human", "value": "You see."},
        {"from": "gpt", "value": "ACTION: take"},
    ],
}
OPENAI = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]},
        {"role": "assistant", "content": "Hi", "weight": 0},
        {"role": "user", "content": "Bye"},
        {"role": "assistant", "content": "Bye", "weight": 1},
    ]
}


def test_agentinstruct_trains_what_loss_does_not_forbid() -> None:
    conversation = parse_record(SHAREGPT)
    assert conversation.id == "a"
    assert [m.trained for m in conversation.messages] == [False, False, False, True, False, True]
    assert [m.role for m in conversation.messages] == ["user", "assistant"] * 3


def test_alpaca_joins_instruction_and_input() -> None:
    assert parse_record(ALPACA).messages == (Message("user", "Add.\n\n1 and 2"), Message("assistant", "3", True))
    without = {"instruction": "Say hi.", "input": "", "output": "hi"}
    assert parse_record(without).messages[0] == Message("user", "Say hi.")


def test_openai_messages_heed_weights_and_text_parts() -> None:
    messages = parse_record(OPENAI).messages
    assert [m.role for m in messages] == ["system", "user", "assistant", "user", "assistant"]
    assert messages[1].content == "Hello"
    assert [m.trained for m in messages] == [False, False, False, False, True]


@given(
    texts=st.lists(st.text(max_size=20), min_size=1, max_size=5),
    trained=st.lists(st.booleans(), min_size=5, max_size=5).filter(any),
)
@settings(max_examples=50, deadline=None)
def test_our_own_form_comes_back_as_it_was(texts: list[str], trained: list[bool]) -> None:
    pairs = zip(texts, trained, strict=False)
    messages = [m for text, mark in pairs for m in (Message("user", text), Message("assistant", text, mark))]
    conversation = Conversation(tuple(messages), "here", "1", {"kind": "x"})
    if any(message.trained for message in messages):
        again = parse_record(json.loads(json.dumps(conversation.to_dict())))
        assert again == conversation and again.metadata == {"kind": "x"}


@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet", "lines.json"])
def test_every_kind_of_file_gives_the_same(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"set.{suffix}"
    if suffix == "parquet":
        columns = dict.fromkeys([*SHAREGPT, *ALPACA])
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([columns | SHAREGPT, columns | ALPACA]), path)
    elif suffix == "json":
        path.write_text(json.dumps([SHAREGPT, ALPACA], indent=1))
    else:
        write_lines(path, [SHAREGPT, ALPACA])
    data = read_conversations(path)
    assert [c.messages for c in data.conversations] == [parse_record(SHAREGPT).messages, parse_record(ALPACA).messages]
    assert data.skipped == []
    assert len({(c.source, c.id) for c in data.conversations}) == 2


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("{not json", r"is not JSON \(Expecting property name"),
        ("[" * 100_000, r"nested too deeply"),
        (["a"], "a record must be an object, this is a list"),
        ({"text": "hello"}, "has text, and neither conversations"),
        ({"conversations": []}, "this is an empty list"),
        ({"conversations": ["hi"]}, "holds a turn that is no object"),
        ({"conversations": [{"from": "tool", "value": "x"}]}, "turn 1 of conversations: speaker 'tool' is not one of"),
        ({"conversations": [{"from": "human", "value": None}]}, "turn 1: its text must be a string, this is null"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "turn 1: its text must be a string"),
        ({"instruction": 1, "output": "x"}, "instruction must be a string, this is a int"),
        (
            {"id": "q7", "conversations": [{"from": "human", "value": "x"}]},
            "conversation q7 has no agent turn to train",
        ),
    ],
)
def test_a_broken_record_is_reported_with_file_line_and_reason_or_skipped(
    tmp_path: Path, record: Any, reason: str
) -> None:
    path = write_lines(tmp_path / "set.jsonl", [SHAREGPT, record, ALPACA])
    with pytest.raises(UserError, match=rf"set\.jsonl:2: .*{reason}.*data\.on_error=skip") as error:
        read_conversations(path)
    assert "\n" not in str(error.value)
    data = read_conversations(path, on_error="skip")
    assert len(data.conversations) == 2 and len(data.skipped) == 1
    assert data.skipped[0].startswith(f"{path}:2: ")


@given(
    record=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "conversations",
                        "messages",
                        "from",
                        "value",
                        "role",
                        "content",
                        "instruction",
                        "output",
                        "trained",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
@settings(max_examples=200, deadline=None)
def test_no_record_breaks_the_parser(record: Any) -> None:
    try:
        conversation = parse_record(record)
    except RecordError:
        return
    assert any(message.trained for message in conversation.messages)


def test_what_is_no_data_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.jsonl: no such file; name a JSON, JSONL or Parquet file"):
        read_conversations(tmp_path / "absent.jsonl")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match=r"notes\.txt: unknown kind of file"):
        read_conversations(tmp_path / "notes.txt")
    (tmp_path / "bad.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match=r"bad\.parquet: is not a Parquet file"):
        read_conversations(tmp_path / "bad.parquet")
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "\xe9t\xe9"}\n')
    with pytest.raises(UserError, match=r"latin\.jsonl: is not UTF-8"):
        read_conversations(tmp_path / "latin.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(UserError, match=r"empty\.jsonl: holds no usable conversation"):
        read_conversations(tmp_path / "empty.jsonl")
    (tmp_path / "torn.json").write_text('[{"a": 1},\n')
    with pytest.raises(UserError, match=r"torn\.json:2: is not JSON"):
        read_conversations(tmp_path / "torn.json")


@pytest.mark.parametrize(
    ("name", "kept", "skipped"),
    [
        ("agentinstruct_reconstructed", 1866, 0),
        ("tmbr_constructed_household", 35, 0),
        ("tmbr_constructed_os_multiturn", 59, 0),
        ("self_instruct_subset", 2293, 0),
        ("oasst_guanaco_from_tokens", 9796, 50),
    ],
)
def test_real_sets_are_read_whole(name: str, kept: int, skipped: int) -> None:
    path = SHARED / f"{name}.jsonl"
    if not path.is_file():
        pytest.skip("real conversations are not here; set AGENTX_SHARED_DATA")
    data = read_conversations(path, on_error="skip")
    assert (len(data.conversations), len(data.skipped)) == (kept, skipped)
    assert all("no agent turn to train" in line for line in data.skipped)
