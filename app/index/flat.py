"""faiss's flat index: every vector is compared, in vector instructions, and none is missed."""

import threading
from collections.abc import Sequence

from app.domain.face import Vector
from app.index.rows import Rows, search_in_turns
from app.index.vectors import DIMENSIONS, checked_probe, checked_probes, checked_rows
from app.ports import Hit


class FlatIndex:
    """Fits `ports.VectorIndex` by `faiss.IndexFlatIP`."""

    def __init__(self, dimensions: int = DIMENSIONS) -> None:
        self._dimensions = dimensions
        # One lock for all: faiss may read while others read, but neither while another adds or removes.
        self._lock = threading.Lock()
        self._rows = Rows(dimensions)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, template_id: str) -> bool:
        return template_id in self._rows

    def add(self, template_ids: Sequence[str], vectors: Vector) -> None:
        """Adds or replaces float32 (n, dimensions), rows of unit length. Raises ValueError for other vectors."""
        ids, rows = checked_rows(template_ids, vectors, self._dimensions)
        with self._lock:
            self._rows.put(ids, rows)

    def remove(self, template_ids: Sequence[str]) -> int:
        """Removes what is held of these; how many that were."""
        with self._lock:
            return self._rows.drop(template_ids)[0]

    def search(self, vector: Vector, k: int) -> list[Hit]:
        """The k closest, closest first. Raises ValueError for a probe that is not finite and of unit length."""
        probe = checked_probe(vector, self._dimensions)
        with self._lock:
            k = min(k, len(self._rows))
            return self._rows.hits(*self._rows.search(probe, k)) if k >= 1 else []

    def search_many(self, vectors: Vector, k: int) -> list[list[Hit]]:
        """The same for each of float32 (n, dimensions), by matrix products; single searches come in between."""
        return search_in_turns(self._rows, self._lock, checked_probes(vectors, self._dimensions), k)

    def held(self) -> tuple[list[str], Vector]:
        """Every id, and an own copy of the vectors, float32 (n, dimensions), in the same order."""
        with self._lock:
            return list(self._rows.ids), self._rows.matrix().copy()
