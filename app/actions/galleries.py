"""Galleries: made, listed, removed, and who is in them."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.actions.in_step import Report, bring_in_step, to_log
from app.actions.people import found, known_gallery
from app.domain.audit import Entry
from app.domain.gallery import EVERYBODY, NamedGallery, Within
from app.domain.operating_point import Calibration, OperatingPoint
from app.domain.particulars import gallery_id, line
from app.errors import InvalidField, OutOfScope
from app.ports import Clock, Gallery, Identifiers, Store


@dataclass(frozen=True, slots=True)
class GallerySize:
    """A gallery, what a face is compared with in it, and the threshold that this size asks for.

    named: None for the implicit gallery of everybody.
    """

    id: str
    named: NamedGallery | None
    persons: int
    templates: int
    point: OperatingPoint


@dataclass(frozen=True, slots=True)
class MakeGallery:
    """Makes an empty gallery. Raises InvalidField, GalleryExists. Writes its row."""

    store: Store
    gallery: Gallery
    clock: Clock
    identifiers: Identifiers
    report: Report = to_log

    def __call__(self, name: str, chosen_id: str | None = None, *, within: Within = None) -> NamedGallery:
        """The gallery as stored; without an id it gets one.

        within: a caller who is bound makes none but its own, should one of them not be there. Raises OutOfScope.
        """
        if within is not None and chosen_id not in within:
            raise OutOfScope("persons:write", "The key is bound to galleries, and can make no other: use another key.")
        id_ = self.identifiers.new("gal") if chosen_id is None else gallery_id(chosen_id)
        made = NamedGallery(id_, line("name", name), self.clock.now())
        with self.store.write() as uow:
            uow.galleries.add(made)
            uow.audit.append(Entry("gallery.made", made.created_at, gallery=made.id))
            committed = uow.commit()
        bring_in_step(self.gallery, committed, self.report)
        return made


@dataclass(frozen=True, slots=True)
class ListGalleries:
    """Galleries in order of id, `all` first, each with its size. Read-only."""

    store: Store
    gallery: Gallery
    calibration: Calibration

    def __call__(self, *, within: Within = None, after: str | None, limit: int) -> Sequence[GallerySize]:
        """At most `limit` galleries behind the id `after`. within: no others, and not `all`."""
        self.gallery.catch_up()
        with self.store.read() as uow:
            if within is None:
                named = list(uow.galleries.page(after=None if after == EVERYBODY else after, limit=limit))
            else:
                known = (uow.galleries.get(id_) for id_ in sorted(within) if after is None or id_ > after)
                named = [one for one in known if one is not None]
        sizes = [self.measured(one.id, one) for one in named]
        if within is None and after is None:
            sizes.insert(0, self.measured(EVERYBODY, None))
        return sizes[:limit]

    def one(self, gallery: str, *, within: Within = None) -> GallerySize:
        """That gallery. Raises UnknownGallery."""
        self.gallery.catch_up()
        with self.store.read() as uow:
            known_gallery(uow, gallery, within)
            return self.measured(gallery, uow.galleries.get(gallery))

    def measured(self, id_: str, named: NamedGallery | None) -> GallerySize:
        """The gallery as the index holds it."""
        return self._sized(id_, named, *self.gallery.size(id_))

    def empty(self, made: NamedGallery) -> GallerySize:
        """A gallery that was just made: nobody needs to be asked about it."""
        return self._sized(made.id, made, 0, 0)

    def _sized(self, id_: str, named: NamedGallery | None, persons: int, templates: int) -> GallerySize:
        point = self.calibration.for_identification(max(persons, templates))
        return GallerySize(id_, named, persons, templates, point)


@dataclass(frozen=True, slots=True)
class RemoveGallery:
    """Removes a gallery; its persons stay enrolled. Raises UnknownGallery, InvalidField. Deletes its rows."""

    store: Store
    gallery: Gallery
    clock: Clock
    report: Report = to_log

    def __call__(self, gallery: str, *, within: Within = None) -> int:
        """How many members it had. within: a caller who is bound removes none but its own."""
        _refuse_everybody(gallery)
        with self.store.write() as uow:
            known_gallery(uow, gallery, within)
            left = uow.galleries.remove(gallery)
            now = self.clock.now()
            uow.audit.append(Entry("gallery.removed", now, gallery=gallery, facts={"members": left}))
            committed = uow.commit()
        bring_in_step(self.gallery, committed, self.report)
        return left


@dataclass(frozen=True, slots=True)
class ChangeMembership:
    """Puts a person into a gallery, or takes one out. Raises UnknownGallery, UnknownPerson, Erased, InvalidField."""

    store: Store
    gallery: Gallery
    clock: Clock
    report: Report = to_log

    def __call__(self, gallery: str, person_id: str, *, member: bool, within: Within = None) -> int:
        """The seq of the change feed that has it; the same again is no change.

        within: a caller who is bound puts in, and takes out, only whom it sees already.
        """
        _refuse_everybody(gallery)
        with self.store.write() as uow:
            known_gallery(uow, gallery, within)
            found(uow, person_id, within)
            change = uow.galleries.join if member else uow.galleries.leave
            if change(gallery, person_id):
                action = "member.joined" if member else "member.left"
                uow.audit.append(Entry(action, self.clock.now(), person_id=person_id, gallery=gallery))
            committed = uow.commit()
        bring_in_step(self.gallery, committed, self.report)
        return committed


def _refuse_everybody(gallery: str) -> None:
    if gallery == EVERYBODY:
        raise InvalidField("gallery", f"Everybody is in `{EVERYBODY}`, always: name another gallery.")
