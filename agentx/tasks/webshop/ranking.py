"""BM25 as Lucene computes it, over an inverted index on disk that is memory-mapped.

Libraries such as bm25s score with exact document lengths and in one precision, which orders the first ten results
otherwise than Lucene in more than half of the cases. Here lengths are quantised to one byte, terms are scored in
float32 and summed in float64, and equal scores are ordered by the documents' names.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentx.tasks.webshop.analysis import pieces, term_of, tokenize

K1 = np.float32(0.9)
B = np.float32(0.4)
CHUNK = 50_000
"""documents inverted in memory at a time"""


def quantise_length(length: int) -> int:
    """The length that survives Lucene's one-byte encoding (exact up to 40, then four significant bits)."""
    if length < 24:
        return length
    rest = length - 24
    bits = rest.bit_length()
    if bits < 4:
        return length
    shift = bits - 4
    return 24 + ((rest >> shift) << shift)


class IndexWriter:
    """Inverts documents in the order they are added; `finish` writes the index into `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._raw: dict[str, list[int]] = {}
        self._terms: dict[str, int] = {}
        self._flat: list[int] = []
        self._lengths: list[int] = []
        self._all_lengths: list[NDArray[np.int32]] = []
        self._chunks: list[Path] = []
        self._base = 0

    def add(self, text: str) -> None:
        known, flat = self._raw, self._flat
        before = len(flat)
        for token in tokenize(text):
            ids = known.get(token)
            flat.extend(self._meet(token) if ids is None else ids)
        self._lengths.append(len(flat) - before)
        if len(self._lengths) == CHUNK:
            self._flush()

    def _meet(self, token: str) -> list[int]:
        terms = [term for piece in pieces(token) if (term := term_of(piece))]
        ids = [self._terms.setdefault(term, len(self._terms)) for term in terms]
        if len(self._raw) < 4_000_000:
            self._raw[token] = ids
        return ids

    def _flush(self) -> None:
        lengths = np.array(self._lengths, np.int32)
        documents = np.repeat(np.arange(len(lengths), dtype=np.int64), lengths)
        keys = np.array(self._flat, np.int64) * CHUNK + documents
        unique, counts = np.unique(keys, return_counts=True)
        path = self.folder / f"chunk-{len(self._chunks)}.npy"
        table = np.empty((3, len(unique)), np.int32)
        table[0] = unique // CHUNK
        table[1] = unique % CHUNK + self._base
        table[2] = counts
        np.save(path, table)
        self._chunks.append(path)
        self._all_lengths.append(lengths)
        self._base += len(lengths)
        self._flat.clear()
        self._lengths.clear()

    def finish(self) -> None:
        self._flush()
        lengths = np.concatenate(self._all_lengths)
        counted = int((lengths > 0).sum())
        average = np.float32(float(lengths.sum(dtype=np.int64)) / max(counted, 1))
        distinct, inverse = np.unique(lengths, return_inverse=True)
        quantised = np.array([quantise_length(int(length)) for length in distinct], np.float32)[inverse]
        norms = np.float32(1) / (K1 * ((np.float32(1) - B) + B * quantised / max(average, np.float32(1e-9))))

        names = sorted((term.encode(), number) for term, number in self._terms.items())
        new_number = np.empty(len(names), np.int64)
        new_number[[number for _, number in names]] = np.arange(len(names))
        starts = np.zeros(len(names) + 1, np.int64)
        for path in self._chunks:
            terms = new_number[np.load(path, mmap_mode="r")[0]]
            starts[1:] += np.bincount(terms, minlength=len(names))
        starts = np.cumsum(starts)
        total = int(starts[-1])
        documents = np.lib.format.open_memmap(self.folder / "documents.npy", "w+", np.int32, (total,))
        denominators = np.lib.format.open_memmap(self.folder / "denominators.npy", "w+", np.float32, (total,))
        free = starts[:-1].copy()
        for path in self._chunks:
            table = np.load(path)
            terms = new_number[table[0]]
            order = np.argsort(terms, kind="stable")
            terms = terms[order]
            present, first, counts = np.unique(terms, return_index=True, return_counts=True)
            places = np.arange(len(terms)) - np.repeat(first, counts) + np.repeat(free[present], counts)
            ids = table[1][order]
            documents[places] = ids
            denominators[places] = np.float32(1) + table[2][order].astype(np.float32) * norms[ids]
            free[present] += counts
            path.unlink()
        documents.flush()
        denominators.flush()
        np.save(self.folder / "starts.npy", starts)
        offsets = np.cumsum([0, *(len(name) for name, _ in names)], dtype=np.int64)
        np.save(self.folder / "term_offsets.npy", offsets)
        np.save(self.folder / "terms.npy", np.frombuffer(b"".join(name for name, _ in names), np.uint8))
        record = {"documents": len(lengths), "counted": counted}
        (self.folder / "ranking.json").write_text(json.dumps(record), encoding="utf-8")


def mapped(path: Path) -> NDArray[Any]:
    """An array on disk, read-only. A plain view: indexing numpy's own memory map costs microseconds each time."""
    return np.load(path, mmap_mode="r").view(np.ndarray)


class Index:
    """An index opened for searching. Postings stay on disk; processes that open the same one share its pages."""

    def __init__(self, folder: Path, tie_rank: NDArray[np.int32]) -> None:
        record = json.loads((folder / "ranking.json").read_text(encoding="utf-8"))
        self.size = int(record["documents"])
        self._counted = int(record["counted"])
        self._tie_rank = tie_rank
        self._documents = mapped(folder / "documents.npy")
        self._denominators = mapped(folder / "denominators.npy")
        self._starts = mapped(folder / "starts.npy")
        self._term_offsets = mapped(folder / "term_offsets.npy")
        self._terms = mapped(folder / "terms.npy")
        self._scores: NDArray[np.float64] = np.zeros(self.size)

    def search(self, terms: Sequence[str], most: int) -> list[tuple[int, float]]:
        """The best `most` documents as (number, score), best first. A term given n times weighs n times."""
        scores = self._scores
        for term, count in Counter(terms).items():
            number = self._number(term.encode())
            if number is None:
                continue
            first, last = int(self._starts[number]), int(self._starts[number + 1])
            frequency = last - first
            idf = np.float32(math.log(1 + (self._counted - frequency + 0.5) / (frequency + 0.5)))
            weight = np.float32(count) * idf
            scores[self._documents[first:last]] += weight - weight / self._denominators[first:last]
        touched = np.flatnonzero(scores)
        found = scores[touched].astype(np.float32)
        scores[touched] = 0
        if len(found) > most:
            least = np.partition(found, len(found) - most)[len(found) - most]
            kept = found >= least
            touched, found = touched[kept], found[kept]
        order = np.lexsort((self._tie_rank[touched], -found))[:most]
        return [(int(touched[i]), float(found[i])) for i in order]

    def _number(self, term: bytes) -> int | None:
        low, high = 0, len(self._term_offsets) - 1
        while low < high:
            middle = (low + high) // 2
            found = self._terms[self._term_offsets[middle] : self._term_offsets[middle + 1]].tobytes()
            if found == term:
                return middle
            if found < term:
                low = middle + 1
            else:
                high = middle
        return None
