from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentx.tasks.environment import TaskDataError
from agentx.tasks.mind2web.score_file import read_ranks

GOOD = {"scores": {"a_0": {"5": 1.5, "6": -2.0}}, "ranks": {"a_0": {"5": 0, "6": 1}}}


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "scores.pkl"
    path.write_bytes(content)
    return path


class Runs:
    """Unpickled the ordinary way, this makes a directory."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_reads_every_protocol(tmp_path: Path, protocol: int) -> None:
    assert read_ranks(write(tmp_path, pickle.dumps(GOOD, protocol))) == GOOD["ranks"]


def test_reads_numbers_of_numpy_without_numpy(tmp_path: Path) -> None:
    scores = {"scores": {"a": {"5": np.float32(1.5)}}, "ranks": {"a": {"5": np.int64(7)}}}
    assert read_ranks(write(tmp_path, pickle.dumps(scores))) == {"a": {"5": 7}}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_malicious_pickle_is_refused_and_does_nothing(tmp_path: Path, protocol: int) -> None:
    trap = tmp_path / "trap"
    path = write(tmp_path, pickle.dumps(GOOD | {"extra": Runs(str(trap))}, protocol))
    with pytest.raises(TaskDataError, match=r"scores\.pkl: refused.*mkdir"):
        read_ranks(path)
    assert not trap.exists()
    pickle.loads(path.read_bytes())
    assert trap.exists(), "the pickle was harmless: the test shows nothing"


@pytest.mark.parametrize(
    "content",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cbuiltins\ngetattr\n.",
        b"cnumpy\nload\n.",
        b"cnumpy.core.multiarray\n_reconstruct\n.",
        b"Pnumber one\n.",
        pickle.dumps(np.array([1, 2])),
        pickle.dumps(GOOD)[:-10],
        b"",
        b"not a pickle",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f",
    ],
)
def test_anything_but_plain_data_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(TaskDataError, match=r"scores\.pkl: refused"):
        read_ranks(write(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "field ranks: missing"),
        ({"scores": {}}, "field ranks: missing"),
        ({"ranks": {"a": [1]}}, "record a, field ranks"),
        ({"ranks": {"a": {"5": -1}}}, "record a, field ranks"),
        ({"ranks": {"a": {"5": "first"}}}, "record a, field ranks"),
        ({"ranks": {7: {}}}, "record 7"),
    ],
)
def test_another_form_is_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(TaskDataError, match=message) as raised:
        read_ranks(write(tmp_path, pickle.dumps(content)))
    assert "\n" not in str(raised.value)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TaskDataError, match=r"no candidate scores.*task\.scores=own"):
        read_ranks(tmp_path / "scores.pkl")
