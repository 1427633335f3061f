"""faiss's flat index: every vector is compared, in vector instructions, and none is missed."""

import threading
from collections.abc import Sequence
from typing import Any

import faiss
import numpy as np

from app.domain.face import Vector
from app.index.vectors import DIMENSIONS, checked_probe, checked_rows
from app.ports import Hit


class FlatIndex:
    """Fits `ports.VectorIndex` by `faiss.IndexFlatIP`. Row i of faiss belongs to the id at place i.

    Not IndexIDMap: its ids are integers, and its removals copy everything behind the removed row.
    """

    def __init__(self, dimensions: int = DIMENSIONS) -> None:
        self._dimensions = dimensions
        # One lock for all: faiss may read while others read, but neither while another adds or removes.
        self._lock = threading.Lock()
        self._faiss: Any = faiss.IndexFlatIP(dimensions)
        self._ids: list[str] = []
        self._places: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, template_id: str) -> bool:
        return template_id in self._places

    def add(self, template_ids: Sequence[str], vectors: Vector) -> None:
        """Adds or replaces float32 (n, dimensions), rows of unit length. Raises ValueError for other vectors."""
        rows = checked_rows(template_ids, vectors, self._dimensions)
        with self._lock:
            fresh = [id_ for id_ in rows if id_ not in self._places]
            held = [id_ for id_ in rows if id_ in self._places]
            if held:
                self._matrix()[[self._places[id_] for id_ in held]] = np.stack([rows[id_] for id_ in held])
            if fresh:
                self._faiss.add(np.stack([rows[id_] for id_ in fresh]))
                self._places.update((id_, place) for place, id_ in enumerate(fresh, len(self._ids)))
                self._ids.extend(fresh)

    def remove(self, template_ids: Sequence[str]) -> int:
        """Removes what is held of these; how many that were."""
        with self._lock:
            held = [id_ for id_ in dict.fromkeys(template_ids) if id_ in self._places]
            if held:
                matrix = self._matrix()
                for id_ in held:
                    self._swap_last_into(id_, matrix)
                self._shrink(matrix)
        return len(held)

    def search(self, vector: Vector, k: int) -> list[Hit]:
        """The k closest, closest first. Raises ValueError for a probe that is not finite and of unit length."""
        probe = checked_probe(vector, self._dimensions)
        # Per calling thread: one probe is one row, which a second thread of OpenMP could only wait for.
        faiss.omp_set_num_threads(1)
        with self._lock:
            k = min(k, len(self._ids))
            if k < 1:
                return []
            similarities, places = self._faiss.search(probe[None], k)
            ids = [self._ids[place] for place in places[0]]
        return [Hit(id_, float(s)) for id_, s in zip(ids, np.clip(similarities[0], -1.0, 1.0), strict=True)]

    def _matrix(self) -> Vector:
        """The vectors where faiss keeps them, float32 (n, dimensions); valid until rows are added or dropped."""
        n = self._faiss.ntotal
        view: Vector = faiss.rev_swig_ptr(self._faiss.get_xb(), n * self._dimensions)
        return view.reshape(n, self._dimensions)

    def _swap_last_into(self, template_id: str, matrix: Vector) -> None:
        place, last = self._places.pop(template_id), len(self._ids) - 1
        moved = self._ids.pop()
        if place != last:
            matrix[place] = matrix[last]
            self._ids[place] = moved
            self._places[moved] = place

    def _shrink(self, matrix: Vector) -> None:
        n = len(self._ids)
        # faiss keeps the capacity: an erased vector must not stay behind in it.
        matrix[n:] = 0
        self._faiss.codes.resize(n * self._dimensions * 4)
        self._faiss.ntotal = n
