"""Vectors, and the index that follows the rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.domain.face import Vector
from app.domain.gallery import EVERYBODY
from app.domain.model import Served


@dataclass(frozen=True, slots=True)
class Hit:
    """A template found by a search, with its similarity in [-1, 1]."""

    template_id: str
    similarity: float


class VectorIndex(Protocol):
    """Unit vectors by template id. Thread-safe. It is derived from rows and may be dropped at any time."""

    def __len__(self) -> int:
        """Number of vectors held."""
        ...

    def __contains__(self, template_id: str) -> bool:
        """Whether that template is held."""
        ...

    def add(self, template_ids: Sequence[str], vectors: Vector) -> None:
        """Adds float32 (n, 128), rows of unit length; an id that is held already gets the new vector."""
        ...

    def remove(self, template_ids: Sequence[str]) -> int:
        """Removes what is held of these; how many that were."""
        ...

    def search(self, vector: Vector, k: int) -> list[Hit]:
        """The k closest to float32 (128,), closest first; fewer when fewer are held."""
        ...

    def search_many(self, vectors: Vector, k: int) -> list[list[Hit]]:
        """The same for each of float32 (n, 128), exactly and at less cost; single searches come in between."""
        ...

    def held(self) -> tuple[list[str], Vector]:
        """Every id, and an own copy of the vectors, float32 (n, 128), in the same order: of one moment."""
        ...


class Gallery(Protocol):
    """The index of the model that is served, kept in step with the rows (DESIGN, rule 2). Thread-safe."""

    @property
    def served(self) -> Served:
        """The model whose templates are held, and the one that is prepared, as of the last change that was applied."""
        ...

    @property
    def seq(self) -> int:
        """The last change that was applied."""
        ...

    def catch_up(self) -> int:
        """Applies every committed change, a cut-over to another model too; the seq reached."""
        ...

    def size(self, gallery: str = EVERYBODY) -> tuple[int, int]:
        """(persons, templates) held in that gallery; (0, 0) where there is no such gallery."""
        ...

    def search(self, vector: Vector, k: int, gallery: str = EVERYBODY, *, model_id: str | None = None) -> list[Hit]:
        """The k closest templates of that gallery, closest first; exact. Does not catch up by itself.

        model_id: whose the vector is; raises ModelChanged where the templates held are another's. None: not asked.
        """
        ...

    def holds_any(self, template_ids: Sequence[str]) -> bool:
        """Whether any of these templates is still held."""
        ...

    def drop_snapshot(self) -> int:
        """Deletes what is kept on disk to start faster; how many files that were. The rows are the truth without it."""
        ...
