"""Who is compared with whom: the vectors of everybody, and those of each gallery again."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from app.domain.face import Vector
from app.domain.gallery import EVERYBODY
from app.domain.person import Template
from app.index.vectors import DIMENSIONS
from app.ports import VectorIndex


@dataclass(frozen=True, slots=True)
class Entries:
    """Template ids, the person ids of their owners, and vectors, float32 (n, 128), which belong together by row."""

    ids: list[str]
    owners: list[str]
    vectors: Vector = field(repr=False)

    @classmethod
    def of(cls, templates: Sequence[Template]) -> "Entries":
        """The entries of these templates."""
        vectors = np.stack([t.vector for t in templates]) if templates else np.empty((0, DIMENSIONS), np.float32)
        return cls([t.id for t in templates], [t.person_id for t in templates], vectors)

    def at(self, places: Sequence[int]) -> "Entries":
        """Those in these rows."""
        return Entries([self.ids[i] for i in places], [self.owners[i] for i in places], self.vectors[list(places)])


class Roster:
    """The indexes of one model's templates. One thread at a time changes it; any may read.

    A gallery has an index of its own: a search in it is exact whatever its size, and costs by that size alone. It takes
    512 bytes more for each template of somebody who is in a gallery. A template that stays where it is, while its
    person becomes another or joins more galleries, is found there at every moment.
    """

    def __init__(self, make_index: Callable[[], VectorIndex], model_id: str = "") -> None:
        """model_id: whose vectors it holds."""
        self.model_id = model_id
        self._make_index = make_index
        self._everybody = _Circle(make_index())
        self._owners: dict[str, str] = {}
        self._galleries: dict[str, _Circle] = {}
        #: Person -> galleries, of those who are in any.
        self._memberships: dict[str, set[str]] = {}

    def everything(self) -> Entries:
        """An own copy of all that is held, of one moment where nothing changes it meanwhile."""
        ids, vectors = self._everybody.index.held()
        return Entries(ids, [self._owners[id_] for id_ in ids], vectors)

    def indexes(self) -> list[VectorIndex]:
        """Every index: that of everybody first."""
        return [self._everybody.index, *(gallery.index for gallery in tuple(self._galleries.values()))]

    def index(self, gallery: str) -> VectorIndex | None:
        """The index of that gallery; None where there is no such gallery."""
        circle = self._circle(gallery)
        return None if circle is None else circle.index

    def size(self, gallery: str) -> tuple[int, int]:
        """(persons, templates) that a face is compared with there; members without a template do not count."""
        circle = self._circle(gallery)
        return (0, 0) if circle is None else (len(circle.templates_of), len(circle.index))

    def templates_of(self, person_ids: Iterable[str]) -> list[str]:
        """The ids of what these persons have."""
        return [id_ for person_id in person_ids for id_ in self._everybody.templates_of.get(person_id, ())]

    def put(self, entries: Entries) -> None:
        """Adds or replaces, for everybody and in the galleries of each template's person; in no other gallery."""
        pairs = list(zip(entries.ids, entries.owners, strict=True))
        known = [(id_, owner) for id_, owner in pairs if id_ in self._owners]
        moved = [(id_, self._owners[id_]) for id_, owner in known if self._owners[id_] != owner]
        for circle in (self._everybody, *self._galleries.values()):
            circle.disown(moved)
        self._owners.update(pairs)
        self._everybody.put(entries)
        theirs: dict[str, list[int]] = {}
        for place, owner in enumerate(entries.owners):
            for gallery_id in self._memberships.get(owner, ()):
                theirs.setdefault(gallery_id, []).append(place)
        for gallery_id, places in theirs.items():
            self._galleries[gallery_id].put(entries.at(places))
        for gallery_id, gallery in self._galleries.items():
            gallery.drop([pair for pair in known if gallery_id not in self._memberships.get(pair[1], ())])

    def drop(self, template_ids: Sequence[str]) -> None:
        """Removes what is held of these, everywhere."""
        owned = [(id_, self._owners[id_]) for id_ in template_ids if id_ in self._owners]
        for circle in (self._everybody, *self._galleries.values()):
            circle.drop(owned)
        # Last: should a step before fail, the same call again finds them still to be done.
        for template_id, _ in owned:
            del self._owners[template_id]

    def open_gallery(self, gallery: str) -> None:
        """Makes that gallery, unless it is there."""
        if gallery not in self._galleries:
            self._galleries[gallery] = _Circle(self._make_index())

    def close_gallery(self, gallery: str) -> None:
        """Forgets that gallery, and who was in it."""
        if self._galleries.pop(gallery, None) is not None:
            for galleries in self._memberships.values():
                galleries.discard(gallery)

    def enlist(self, memberships: Iterable[tuple[str, str]]) -> None:
        """Notes (gallery, person) pairs before the templates of these persons are put."""
        for gallery, person_id in memberships:
            self.open_gallery(gallery)
            self._memberships.setdefault(person_id, set()).add(gallery)

    def assign(self, galleries_of: Mapping[str, Iterable[str]]) -> None:
        """Notes that these persons are in exactly these galleries; what they have must be put again after it."""
        for person_id, galleries in galleries_of.items():
            self._memberships.pop(person_id, None)
            self.enlist((gallery, person_id) for gallery in galleries)

    def _circle(self, gallery: str) -> "_Circle | None":
        return self._everybody if gallery == EVERYBODY else self._galleries.get(gallery)


class _Circle:
    """An index, and whose templates are in it."""

    def __init__(self, index: VectorIndex) -> None:
        self.index = index
        self.templates_of: dict[str, set[str]] = {}

    def put(self, entries: Entries) -> None:
        if entries.ids:
            self.index.add(entries.ids, entries.vectors)
        for template_id, person_id in zip(entries.ids, entries.owners, strict=True):
            self.templates_of.setdefault(person_id, set()).add(template_id)

    def drop(self, owned: Sequence[tuple[str, str]]) -> None:
        """(template, person) pairs."""
        if held := [template_id for template_id, _ in owned if template_id in self.index]:
            self.index.remove(held)
        self.disown(owned)

    def disown(self, owned: Sequence[tuple[str, str]]) -> None:
        """The same, but the vectors stay: they are about to become somebody else's."""
        for template_id, person_id in owned:
            theirs = self.templates_of.get(person_id, set())
            theirs.discard(template_id)
            if not theirs:
                self.templates_of.pop(person_id, None)
