"""Rows of what a change of the model needs: which one is served, kept crops, and the next one's embeddings."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from app.domain.face import Crop
from app.domain.model import Embedded, LeftBehind, Served, Waiting


class Models(Protocol):
    """Which model's templates are searched, and the embeddings of the next one, which nobody searches yet."""

    def served(self) -> Served | None:
        """What is served; None in a home that was never asked to serve any."""
        ...

    def serve(self, served: Served) -> None:
        """Writes it, and a change `model update`."""
        ...

    def waiting(self, model_id: str, *, unreadable: Callable[[str], object]) -> Iterator[Waiting]:
        """Every template with a kept crop that has no embedding by that model yet, in order of id, read in pieces.

        A crop that cannot be opened is left out, and `unreadable` called with the id of its template.
        """
        ...

    def embed(self, model_id: str, embedded: Sequence[Embedded]) -> int:
        """Keeps embeddings by that model beside their templates, sealed; how many.

        What was removed meanwhile, or has one already, is passed over.
        """
        ...

    def embedded(self, model_id: str) -> tuple[int, int]:
        """(done, of): templates with an embedding by that model, and those that have one or a crop to make it of."""
        ...

    def left_behind(self, served: Served, *, with_crops: bool, limit: int) -> LeftBehind:
        """Persons who are searched now, and would not be after a cut-over to `next_id`; at most `limit` by name.

        with_crops: a kept crop counts as if it were embedded already.
        """
        ...

    def cut_over(self, model_id: str) -> int:
        """Makes the embeddings by that model those that are searched, in place of the ones before; how many.

        Templates without one stay as they are: of another model, and searched by nobody. Other models' go.
        """
        ...

    def forget_others(self, model_id: str | None) -> int:
        """Deletes kept embeddings of every other model than that one; how many. Crops stay."""
        ...

    def forget_clear(self) -> int:
        """Deletes vectors in clear of models that are neither searched nor prepared; how many."""
        ...


class Crops(Protocol):
    """Rows of kept crops, sealed under their person's key; each goes with its template."""

    def keep(self, template_id: str, crop: Crop) -> None:
        """Keeps uint8 (144, 144, 3). Raises UnknownTemplate when there is no such row."""
        ...

    def of(self, person_id: str) -> dict[str, Crop]:
        """Template id -> crop, of the person's templates that have one. Raises Corrupt."""
        ...

    def count(self, person_id: str | None = None) -> int:
        """How many there are, of that person or of everybody."""
        ...

    def forget_all(self) -> int:
        """Deletes every crop for good; how many."""
        ...
