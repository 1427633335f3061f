"""Galleries and their members in SQL."""

import json
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, bindparam, delete, exists, insert, literal, select

from app.domain.gallery import NamedGallery
from app.errors import GalleryExists, UnknownGallery, UnknownPerson
from app.store.rows.changes import SqlChanges
from app.store.tables import GALLERIES, MEMBERS, PERSONS, listed

# Memberships that `memberships` holds at a time.
PIECE = 10_000

_ROWS = select(GALLERIES.c.id, GALLERIES.c.name, GALLERIES.c.created_at)
_GET = _ROWS.where(GALLERIES.c.id == bindparam("gallery_id"))
_PAGE = _ROWS.where(GALLERIES.c.id > bindparam("after")).order_by(GALLERIES.c.id).limit(bindparam("most"))
_INSERT = insert(GALLERIES)
_DELETE = delete(GALLERIES).where(GALLERIES.c.id == bindparam("gallery_id"))
_HAS_PERSON = select(exists().where(PERSONS.c.id == bindparam("person_id")))
_HAS_GALLERY = select(exists().where(GALLERIES.c.id == bindparam("gallery_id")))
_IS_MEMBER = select(
    exists().where(MEMBERS.c.gallery_id == bindparam("gallery_id"), MEMBERS.c.person_id == bindparam("person_id"))
)
_JOIN = insert(MEMBERS)
_LEAVE = delete(MEMBERS).where(
    MEMBERS.c.gallery_id == bindparam("gallery_id_"), MEMBERS.c.person_id == bindparam("person_id_")
)
_OF = select(MEMBERS.c.gallery_id).where(MEMBERS.c.person_id == bindparam("person_id")).order_by(MEMBERS.c.gallery_id)
_OF_MANY = select(MEMBERS.c.person_id, MEMBERS.c.gallery_id).where(MEMBERS.c.person_id.in_(listed("person_ids")))
_MEMBERS = (
    select(MEMBERS.c.person_id)
    .where(MEMBERS.c.gallery_id == bindparam("gallery_id"), MEMBERS.c.person_id > bindparam("after"))
    .order_by(MEMBERS.c.person_id)
    .limit(bindparam("most"))
)
_ALL = (
    select(MEMBERS.c.gallery_id, MEMBERS.c.person_id)
    .where(MEMBERS.c.gallery_id == bindparam("gallery_id"), MEMBERS.c.person_id > bindparam("after"))
    .order_by(MEMBERS.c.person_id)
    .limit(literal(PIECE))
)
_CLEAR = delete(MEMBERS).where(MEMBERS.c.gallery_id == bindparam("gallery_id_"))


class SqlGalleries:
    """Fits `ports.Galleries`."""

    def __init__(self, connection: Connection, changes: SqlChanges) -> None:
        self._connection = connection
        self._changes = changes

    def add(self, gallery: NamedGallery) -> None:
        """Inserts, and writes a change `gallery add`. Raises GalleryExists."""
        # Asked first, and not caught: a refused statement would end the transaction on PostgreSQL. Writers are serial.
        if self._connection.execute(_HAS_GALLERY, {"gallery_id": gallery.id}).scalar():
            raise GalleryExists
        values = {"id": gallery.id, "name": gallery.name, "created_at": gallery.created_at}
        self._connection.execute(_INSERT, values)
        self._changes.note("gallery", [gallery.id], "add")

    def get(self, gallery_id: str) -> NamedGallery | None:
        """The gallery, or None."""
        row = self._connection.execute(_GET, {"gallery_id": gallery_id}).first()
        return None if row is None else NamedGallery(*row)

    def page(self, *, after: str | None, limit: int) -> list[NamedGallery]:
        """At most `limit` galleries in order of id, those behind the id `after`."""
        return [NamedGallery(*row) for row in self._connection.execute(_PAGE, {"after": after or "", "most": limit})]

    def remove(self, gallery_id: str) -> int:
        """Deletes the gallery, not its members' persons; how many members it had. Raises UnknownGallery."""
        left = self._connection.execute(_CLEAR, {"gallery_id_": gallery_id}).rowcount
        if self._connection.execute(_DELETE, {"gallery_id": gallery_id}).rowcount == 0:
            raise UnknownGallery
        self._changes.note("gallery", [gallery_id], "remove")
        return left

    def join(self, gallery_id: str, person_id: str) -> bool:
        """Makes the person a member; False for one who is. Raises UnknownGallery, UnknownPerson."""
        if not self._connection.execute(_HAS_GALLERY, {"gallery_id": gallery_id}).scalar():
            raise UnknownGallery
        if not self._connection.execute(_HAS_PERSON, {"person_id": person_id}).scalar():
            raise UnknownPerson
        which = {"gallery_id": gallery_id, "person_id": person_id}
        if self._connection.execute(_IS_MEMBER, which).scalar():
            return False
        self._connection.execute(_JOIN, which)
        self._changes.note("member", [person_id], "update")
        return True

    def leave(self, gallery_id: str, person_id: str) -> bool:
        """Ends the membership; False where there is none."""
        left = self._connection.execute(_LEAVE, {"gallery_id_": gallery_id, "person_id_": person_id}).rowcount
        if left:
            self._changes.note("member", [person_id], "update")
        return bool(left)

    def of(self, person_id: str) -> tuple[str, ...]:
        """The galleries of that person, in order of id."""
        return tuple(self._connection.execute(_OF, {"person_id": person_id}).scalars())

    def of_many(self, person_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Person id -> galleries, for those of these persons who are in any; one query."""
        found: dict[str, list[str]] = {}
        for person_id, gallery_id in self._connection.execute(
            _OF_MANY, {"person_ids": json.dumps(list(person_ids))}
        ).all():
            found.setdefault(person_id, []).append(gallery_id)
        return {person_id: tuple(sorted(galleries)) for person_id, galleries in found.items()}

    def members(self, gallery_id: str, *, after: str | None, limit: int) -> list[str]:
        """At most `limit` person ids in order, those behind `after`."""
        which = {"gallery_id": gallery_id, "after": after or "", "most": limit}
        return list(self._connection.execute(_MEMBERS, which).scalars())

    def memberships(self) -> Iterator[tuple[str, str]]:
        """Every (gallery id, person id), read in pieces."""
        for gallery_id in self._connection.execute(select(GALLERIES.c.id)).scalars().all():
            after = ""
            while rows := self._connection.execute(_ALL, {"gallery_id": gallery_id, "after": after}).all():
                yield from ((row[0], row[1]) for row in rows)
                after = rows[-1].person_id
