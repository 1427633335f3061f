"""Vectors in faiss's flat storage, one place a template, without gaps."""

from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Any

import faiss
import numpy as np

from app.domain.face import Vector
from app.index.product import Places, closest
from app.ports import Hit

# Comparisons of one batch during which nobody else is let in: a tenth of a second or so.
PAIRS = 2**25


class Rows:
    """The vector at place i belongs to `ids[i]`. Not thread-safe: its owner holds a lock around every call.

    Not IndexIDMap: its ids are integers, and its removals copy everything behind the removed row. Here the last row
    moves into the place that becomes free.
    """

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self.faiss: Any = faiss.IndexFlatIP(dimensions)
        self.ids: list[str] = []
        self._places: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, template_id: str) -> bool:
        return template_id in self._places

    def put(self, ids: Sequence[str], vectors: Vector) -> list[int]:
        """Replaces what is held and appends the rest; the places that were replaced. ids: distinct."""
        fresh = [row for row, id_ in enumerate(ids) if id_ not in self._places]
        if len(fresh) == len(ids):
            self._append(ids, vectors)
            return []
        held = [row for row, id_ in enumerate(ids) if id_ in self._places]
        replaced = [self._places[ids[row]] for row in held]
        self.matrix()[replaced] = vectors[held]
        self._append([ids[row] for row in fresh], vectors[fresh])
        return replaced

    def drop(self, ids: Iterable[str]) -> tuple[int, list[int]]:
        """Removes what is held; how many that were, and the places where another vector stands now."""
        held = [id_ for id_ in dict.fromkeys(ids) if id_ in self._places]
        if not held:
            return 0, []
        matrix = self.matrix()
        refilled = {self._swap_last_into(id_, matrix) for id_ in held}
        self._shrink(matrix)
        return len(held), [place for place in refilled if place < len(self.ids)]

    def search(self, probe: Vector, k: int) -> tuple[Vector, Places]:
        """Similarities (k,) and places (k,), closest first. probe: float32 (d,); k: 1..len(self)."""
        # Per calling thread: one probe is one row, which a second thread of OpenMP could only wait for.
        faiss.omp_set_num_threads(1)
        similarities, places = self.faiss.search(probe[None], k)
        return similarities[0], places[0]

    def hits(self, similarities: Vector, places: Places) -> list[Hit]:
        """What a search found, by id; rounding that leads out of [-1, 1] is cut off."""
        whole = np.clip(similarities, -1.0, 1.0).tolist()
        return [Hit(self.ids[place], s) for place, s in zip(places.tolist(), whole, strict=True)]

    def matrix(self) -> Vector:
        """The vectors where faiss keeps them, float32 (n, d); valid until rows are added or dropped."""
        n = self.faiss.ntotal
        view: Vector = faiss.rev_swig_ptr(self.faiss.get_xb(), n * self._dimensions)
        return view.reshape(n, self._dimensions)

    def _append(self, ids: Sequence[str], vectors: Vector) -> None:
        if not ids:
            return
        self.faiss.add(vectors)
        self._places.update((id_, place) for place, id_ in enumerate(ids, len(self.ids)))
        self.ids.extend(ids)

    def _swap_last_into(self, template_id: str, matrix: Vector) -> int:
        place, last = self._places.pop(template_id), len(self.ids) - 1
        moved = self.ids.pop()
        if place != last:
            matrix[place] = matrix[last]
            self.ids[place] = moved
            self._places[moved] = place
        return place

    def _shrink(self, matrix: Vector) -> None:
        n = len(self.ids)
        # faiss keeps the capacity: an erased vector must not stay behind in it.
        matrix[n:] = 0
        self.faiss.codes.resize(n * self._dimensions * 4)
        self.faiss.ntotal = n


def search_in_turns(rows: Rows, lock: Lock, probes: Vector, k: int) -> list[list[Hit]]:
    """The k closest to each of float32 (n, d), exactly; others are let in between one turn and the next.

    Each probe is compared with the rows of one moment, all of them; two probes perhaps with those of two moments.
    """
    answers: list[list[Hit]] = []
    while len(answers) < len(probes):
        with lock:
            held = len(rows)
            turn = probes[len(answers) : len(answers) + max(1, PAIRS // max(1, held))]
            if min(k, held) < 1:
                answers.extend([] for _ in turn)
            else:
                similarities, places = closest(rows.matrix(), turn, min(k, held))
                answers.extend(map(rows.hits, similarities, places))
    return answers
