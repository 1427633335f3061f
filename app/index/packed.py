"""Rows in 4 bits for every two numbers, packed so that vector instructions compare 32 of them at a time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from app.domain.face import Vector

# Of each pair of numbers the nearest of 16 learned points is kept.
CENTROIDS = 16
# More teaches nothing: faiss takes 256 points a centroid.
SAMPLE = 256 * CENTROIDS


@dataclass(frozen=True, slots=True)
class Packing:
    """When codes are kept, and how many rows they propose for the exact comparison.

    bound: rows, at least 16; above it codes are made, below half of it they are dropped. Proposed are at least
    `k_factor` times the hits asked for, `least` rows, and `share` of all; when that is more than `worth` of all rows,
    comparing all is quicker, and is done. outlived: codes learn anew when this many times as many rows as they were
    made from have been written since. docs/decisions tells how the numbers were found.
    """

    bound: int = 50_000
    k_factor: int = 200
    least: int = 4_000
    share: float = 1 / 80
    worth: float = 0.1
    outlived: float = 2.0

    def __post_init__(self) -> None:
        if self.bound < CENTROIDS:
            raise ValueError(f"codes learn from {CENTROIDS} rows at least, so a bound of {self.bound} is too low")

    def proposed(self, k: int, rows: int) -> int:
        """How many rows the codes propose, 1..rows."""
        return min(rows, max(k * self.k_factor, self.least, math.ceil(rows * self.share)))


class PackedCodes:
    """faiss's `PQ64x4fs` over the first rows of a matrix, code i for row i: 32 bytes a row of 128 numbers.

    Codes are written in place: a removed row leaves nothing behind that a search would have to pass over, or that
    a face could be guessed from. Not thread-safe.
    """

    def __init__(self, sample: Vector) -> None:
        """Learns from float32 (n, d), n at least 16. Takes half a second for 4,096 rows."""
        self.faiss = _learned_from(sample)
        self._packer: Any = self.faiss.get_CodePacker()

    def __len__(self) -> int:
        length: int = self.faiss.ntotal
        return length

    def append(self, vectors: Vector) -> None:
        """Codes of float32 (n, d) behind those that are there."""
        if len(vectors):
            self.faiss.add(vectors)

    def rewrite(self, places: Sequence[int], vectors: Vector) -> None:
        """New codes at these places, each below len(self), from float32 (len(places), d)."""
        if not places:
            return
        blocks = self._blocks()
        for place, code in zip(places, self.faiss.pq.compute_codes(vectors), strict=True):
            self._write(blocks, place, code)

    def truncate(self, n: int) -> None:
        """Keeps the first n, and clears the rest of the memory, which faiss keeps for more. n: 0..len(self)."""
        blocks, per_block = self._blocks(), self._packer.nvec
        whole = -(-n // per_block)
        # faiss adds by setting bits: what lies behind the last code must be zero.
        for place in range(n, min(len(self), whole * per_block)):
            self._write(blocks, place, np.zeros(self._packer.code_size, np.uint8))
        blocks[whole:] = 0
        self.faiss.ntotal, self.faiss.ntotal2 = n, whole * per_block

    def _blocks(self) -> NDArray[np.uint8]:
        """The codes where faiss keeps them, uint8 (blocks of 32 codes, bytes); valid until codes are added."""
        codes = self.faiss.codes
        view: NDArray[np.uint8] = faiss.rev_swig_ptr(codes.data(), codes.size())
        return view.reshape(-1, self._packer.block_size)

    def _write(self, blocks: NDArray[np.uint8], place: int, code: NDArray[np.uint8]) -> None:
        block, offset = divmod(place, self._packer.nvec)
        self._packer.pack_1(code, offset, blocks[block : block + 1])


def _learned_from(sample: Vector) -> Any:
    dimensions = sample.shape[1]
    index = faiss.IndexPQFastScan(dimensions, dimensions // 2, 4, faiss.METRIC_INNER_PRODUCT)
    # A small sample is the caller's choice; without this faiss would write a warning on stderr.
    index.pq.cp.min_points_per_centroid = 1
    index.train(sample)
    return index
