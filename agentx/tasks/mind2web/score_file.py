"""Mind2Web's candidate scores: a pickle, read without running anything that is in it."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

from agentx.tasks.environment import TaskDataError

_FORMATS = {"f4": "f", "f8": "d", "i4": "i", "i8": "q", "u4": "I", "u8": "Q"}


class _Dtype:
    """Stands in for numpy.dtype: remembers its name and byte order, nothing else."""

    def __init__(self, name: object, *_: object) -> None:
        self.name = str(name)
        self.order = "<"

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">"):
            self.order = state[1]


def _scalar(dtype: object, data: object) -> float:
    """Stands in for numpy's scalar reconstruction: a plain number."""
    if not isinstance(dtype, _Dtype) or dtype.name not in _FORMATS or not isinstance(data, bytes):
        raise pickle.UnpicklingError("a numpy value that is no number")
    return struct.unpack(dtype.order + _FORMATS[dtype.name], data)[0]


_ALLOWED = {
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
}


class _Unpickler(pickle.Unpickler):
    """Knows dictionaries, lists, text and numbers; every other name is refused."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which scores have no use for") from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to objects outside the file")


def read_ranks(path: Path) -> dict[str, dict[str, int]]:
    """Rank of each candidate, from 0: "{annotation_id}_{action_uid}" -> backend_node_id -> rank.

    Raises TaskDataError for a file that is missing, truncated, not of this form, or holds anything but plain data.
    """
    try:
        with path.open("rb") as file:
            content = _Unpickler(file).load()
    except OSError as error:
        raise TaskDataError(
            f"{path}: no candidate scores ({error.strerror}); put Mind2Web's file there or use task.scores=own"
        ) from error
    except Exception as error:  # a hostile pickle can make the unpickler raise anything
        raise TaskDataError(
            f"{path}: refused, not a file of candidate scores ({str(error)[:120]}); download it anew"
        ) from error
    ranks = content.get("ranks") if isinstance(content, dict) else None
    if not isinstance(ranks, dict):
        raise TaskDataError(f"{path}, field ranks: missing; download the file anew or use task.scores=own")
    return {_key(path, sample): _row(path, sample, row) for sample, row in ranks.items()}


def _row(path: Path, sample: Any, row: Any) -> dict[str, int]:
    if not isinstance(row, dict) or not all(
        isinstance(node, str) and isinstance(rank, int) and rank >= 0 for node, rank in row.items()
    ):
        raise TaskDataError(f"{path}, record {str(sample)[:80]}, field ranks: must map node ids to ranks from 0")
    return row


def _key(path: Path, sample: Any) -> str:
    if not isinstance(sample, str):
        raise TaskDataError(f"{path}, record {str(sample)[:80]}: a record's name must be text; download the file anew")
    return sample
