"""Galleries in memory: part of the published fake of the store."""

from collections.abc import Iterator, Sequence

from app.domain.gallery import NamedGallery
from app.errors import GalleryExists, UnknownGallery, UnknownPerson
from app.store.memory.rows import Transaction


class MemoryGalleries:
    """Fits `ports.Galleries`."""

    def __init__(self, uow: Transaction) -> None:
        self._uow = uow

    def add(self, gallery: NamedGallery) -> None:
        """Inserts. Raises GalleryExists."""
        rows = self._uow.rows_to_change()
        if gallery.id in rows.galleries:
            raise GalleryExists
        rows.galleries[gallery.id] = gallery
        rows.note("gallery", gallery.id, "add")

    def get(self, gallery_id: str) -> NamedGallery | None:
        """The gallery, or None."""
        return self._uow.rows().galleries.get(gallery_id)

    def page(self, *, after: str | None, limit: int) -> list[NamedGallery]:
        """At most `limit` galleries in order of id, those behind the id `after`."""
        galleries = self._uow.rows().galleries
        return [galleries[id_] for id_ in sorted(galleries) if after is None or id_ > after][:limit]

    def remove(self, gallery_id: str) -> int:
        """Deletes the gallery; how many members it had. Raises UnknownGallery."""
        rows = self._uow.rows_to_change()
        if rows.galleries.pop(gallery_id, None) is None:
            raise UnknownGallery
        left = {pair for pair in rows.members if pair[0] == gallery_id}
        rows.members -= left
        rows.note("gallery", gallery_id, "remove")
        return len(left)

    def join(self, gallery_id: str, person_id: str) -> bool:
        """Makes the person a member; False for one who is. Raises UnknownGallery, UnknownPerson."""
        rows = self._uow.rows_to_change()
        if gallery_id not in rows.galleries:
            raise UnknownGallery
        if person_id not in rows.persons:
            raise UnknownPerson
        if (gallery_id, person_id) in rows.members:
            return False
        rows.members.add((gallery_id, person_id))
        rows.note("member", person_id, "update")
        return True

    def leave(self, gallery_id: str, person_id: str) -> bool:
        """Ends the membership; False where there is none."""
        rows = self._uow.rows_to_change()
        if (gallery_id, person_id) not in rows.members:
            return False
        rows.members.discard((gallery_id, person_id))
        rows.note("member", person_id, "update")
        return True

    def of(self, person_id: str) -> tuple[str, ...]:
        """The galleries of that person, in order of id."""
        return self.of_many([person_id]).get(person_id, ())

    def of_many(self, person_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Person id -> galleries in order of id."""
        wanted = set(person_ids)
        found: dict[str, list[str]] = {}
        for gallery_id, person_id in sorted(self._uow.rows().members):
            if person_id in wanted:
                found.setdefault(person_id, []).append(gallery_id)
        return {person_id: tuple(galleries) for person_id, galleries in found.items()}

    def members(self, gallery_id: str, *, after: str | None, limit: int) -> list[str]:
        """At most `limit` person ids in order, those behind `after`."""
        theirs = sorted(person for gallery, person in self._uow.rows().members if gallery == gallery_id)
        return [person for person in theirs if after is None or person > after][:limit]

    def memberships(self) -> Iterator[tuple[str, str]]:
        """Every (gallery id, person id)."""
        return iter(sorted(self._uow.rows().members))
