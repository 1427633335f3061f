"""The oracle: one product with the matrix of all vectors. Every other index is measured against it."""

import threading
from collections.abc import Sequence

import numpy as np

from app.domain.face import Vector
from app.index.vectors import DIMENSIONS, checked_probe, checked_probes, checked_rows
from app.ports import Hit


class ExactIndex:
    """Fits `ports.VectorIndex` with nothing but numpy. Equal similarities come in the order of insertion."""

    def __init__(self, dimensions: int = DIMENSIONS) -> None:
        self._dimensions = dimensions
        self._lock = threading.Lock()
        self._rows: dict[str, Vector] = {}
        self._matrix: Vector | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, template_id: str) -> bool:
        return template_id in self._rows

    def add(self, template_ids: Sequence[str], vectors: Vector) -> None:
        """Adds or replaces float32 (n, dimensions), rows of unit length. Raises ValueError for other vectors."""
        ids, rows = checked_rows(template_ids, vectors, self._dimensions)
        with self._lock:
            self._rows.update(zip(ids, rows, strict=True))
            self._matrix = None

    def remove(self, template_ids: Sequence[str]) -> int:
        """Removes what is held of these; how many that were."""
        with self._lock:
            removed = [self._rows.pop(id_, None) is not None for id_ in template_ids]
            self._matrix = None
        return sum(removed)

    def search(self, vector: Vector, k: int) -> list[Hit]:
        """The k closest, closest first. Raises ValueError for a probe that is not finite and of unit length."""
        probe = checked_probe(vector, self._dimensions)
        with self._lock:
            if k < 1 or not self._rows:
                return []
            ids, similarities = list(self._rows), np.clip(self._whole() @ probe, -1.0, 1.0)
        closest = np.argsort(-similarities, kind="stable")[:k]
        return [Hit(ids[i], float(similarities[i])) for i in closest]

    def search_many(self, vectors: Vector, k: int) -> list[list[Hit]]:
        """The same for each of float32 (n, dimensions), one after the other."""
        return [self.search(probe, k) for probe in checked_probes(vectors, self._dimensions)]

    def held(self) -> tuple[list[str], Vector]:
        """Every id, and an own copy of the vectors, float32 (n, dimensions), in the same order."""
        with self._lock:
            return list(self._rows), self._whole().copy()

    def _whole(self) -> Vector:
        if self._matrix is None:
            rows = list(self._rows.values())
            self._matrix = np.stack(rows) if rows else np.empty((0, self._dimensions), np.float32)
        return self._matrix
