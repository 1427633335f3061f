"""Which of many templates look alike, or unlike: products of blocks of vectors, in bounded memory.

A search for each template would read every vector as often as there are templates; a block is read once for a thousand.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.domain.face import Vector

Places = NDArray[np.intp]

# 8 MiB of products at a time; where all of a block are alike, some twenty times that for a moment.
ROWS, COLUMNS = 1024, 2048
# Pairs that are held before the best are chosen, times those that are wanted.
SLACK = 4


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of rows. similarity: float64 (m,); first, second: intp (m,); complete: whether there was room for all."""

    similarity: NDArray[np.float64] = field(repr=False)
    first: Places = field(repr=False)
    second: Places = field(repr=False)
    complete: bool = True


def closest_between(vectors: Vector, person: Places, at_least: float, most: int) -> Pairs:
    """Pairs of two persons, most similar first, each pair once by its closest templates.

    vectors: float32 (n, d), rows of unit length, those of one person side by side; person: intp (n,), rising numbers of
    persons. at_least: the least similarity; most: how many pairs at most, the most similar ones.
    """
    chosen = _Best(person, most, at_least)
    ends = np.searchsorted(person, person, side="right")
    for begin in range(0, len(vectors), ROWS):
        rows = vectors[begin : begin + ROWS]
        for left in range(begin, len(vectors), COLUMNS):
            products = rows @ vectors[left : left + COLUMNS].T
            row, column = np.divmod(np.flatnonzero(products >= chosen.floor), products.shape[1])
            # Behind the end of a row's person lie the others, each pair once.
            other = column + left >= ends[row + begin]
            row, column = row[other], column[other]
            chosen.take(products[row, column], row + begin, column + left)
    return chosen.pairs(vectors)


def furthest_within(vectors: Vector, person: Places, below: float) -> Pairs:
    """For each person whose templates are not all alike the two that are least so, if less than `below`; least first.

    The arguments are those of `closest_between`.
    """
    starts = np.flatnonzero(np.diff(person, prepend=-1)).tolist()
    found: list[tuple[float, int, int]] = []
    for start, end in zip(starts, [*starts, len(person)][1:], strict=True):
        if end - start < 2:
            continue
        least = min(_least(vectors, begin, start, end) for begin in range(start, end, ROWS))
        if least[0] < below:
            found.append(least)
    found.sort()
    columns = list(zip(*found, strict=True)) or [(), (), ()]
    return Pairs(np.array(columns[0], np.float64), np.array(columns[1], np.intp), np.array(columns[2], np.intp))


def _least(vectors: Vector, begin: int, start: int, end: int) -> tuple[float, int, int]:
    rows = vectors[begin : min(begin + ROWS, end)].astype(np.float64)
    products = rows @ vectors[start:end].T.astype(np.float64)
    row, column = np.divmod(int(products.argmin()), end - start)
    first, second = sorted((begin + int(row), start + int(column)))
    return float(products[row, column]), first, second


class _Best:
    """The most similar pairs so far, each pair of persons once. `floor` rises once there are enough."""

    def __init__(self, person: Places, most: int, at_least: float) -> None:
        self._person = person
        self._most = most
        self._at_least = at_least
        # A little lower: what single precision rounds off is decided in double precision at the end.
        self.floor = np.float32(at_least - 1e-5)
        self._complete = True
        self._held: list[tuple[Vector, Places, Places]] = []
        self._count = 0

    def take(self, similarity: Vector, first: Places, second: Places) -> None:
        if len(similarity):
            self._held.append((similarity, first, second))
            self._count += len(similarity)
        if self._count > SLACK * self._most:
            self._choose()

    def pairs(self, vectors: Vector) -> Pairs:
        self._choose()
        _, first, second = self._held[0]
        exact = np.einsum("nd,nd->n", vectors[first].astype(np.float64), vectors[second].astype(np.float64))
        order = np.lexsort((second, first, -exact))
        order = order[exact[order] >= self._at_least]
        return Pairs(exact[order], first[order], second[order], self._complete)

    def _choose(self) -> None:
        if not self._held:
            self._held = [(np.empty(0, np.float32), np.empty(0, np.intp), np.empty(0, np.intp))]
        similarity, first, second = (np.concatenate(part) for part in zip(*self._held, strict=True))
        # The closest of each pair of persons stands first among its like.
        order = np.lexsort((-similarity, self._person[second], self._person[first]))
        one, other = self._person[first[order]], self._person[second[order]]
        fresh = np.ones(len(order), bool)
        fresh[1:] = (one[1:] != one[:-1]) | (other[1:] != other[:-1])
        order = order[fresh]
        if len(order) > self._most:
            order = order[np.argsort(-similarity[order], kind="stable")[: self._most]]
            self._complete = False
            # From now on only what is closer than the last of these can take its place.
            self.floor = np.nextafter(similarity[order[-1]], np.float32(2), dtype=np.float32)
        self._held = [(similarity[order], first[order], second[order])]
        self._count = len(order)
