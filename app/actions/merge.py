"""Two persons turn out to be one: everything of the one becomes the other's."""

from dataclasses import dataclass
from datetime import datetime

from app.actions.in_step import Report, bring_in_step, to_log
from app.actions.people import Placed, found, placed, refuse_beyond
from app.domain.audit import Entry
from app.domain.gallery import Within
from app.domain.identity import CHANGE, MERGE, Before, IdentityChange
from app.domain.person import Person
from app.errors import InvalidField
from app.ports import Clock, Gallery, Identifiers, Store, UnitOfWork

MERGED = "person.merged"


@dataclass(frozen=True, slots=True)
class Changed:
    """A merge, a split or the undoing of one; persons: who of the two is there now, that of `other_id` first."""

    change: IdentityChange
    persons: tuple[Placed, ...]
    index_seq: int


@dataclass(frozen=True, slots=True)
class Merge:
    """Merges a person into another. Raises UnknownPerson (Erased, Merged), InvalidField, OutOfScope.

    In one transaction the templates change hands, the other joins the person's galleries, the person's row goes, its id
    staying taken, and what undoing needs is written.
    """

    store: Store
    gallery: Gallery
    clock: Clock
    identifiers: Identifiers
    report: Report = to_log

    def __call__(self, person_id: str, into: str, *, within: Within = None) -> Changed:
        """Every template of `person_id` finds `into` from now on, whose particulars stay as they are.

        within: a caller who is bound merges only persons of whom it sees every gallery.
        """
        if person_id == into:
            raise InvalidField("into", "Nobody can be merged into himself or herself: name another person.")
        with self.store.write() as uow:
            person, other = found(uow, person_id, within), found(uow, into, within)
            refuse_beyond(uow, (person_id, into), within)
            if person.face_opt_out != other.face_opt_out:
                raise InvalidField(
                    "into", "One of the two has opted out of faces: set face_opt_out the same for both first."
                )
            now = self.clock.now()
            change = self._merged(uow, person, other, now)
            uow.audit.append(_entry(change, now))
            persons = tuple(placed(uow, [other]))
            committed = uow.commit()
        bring_in_step(self.gallery, committed, self.report)
        return Changed(change, persons, committed)

    def _merged(self, uow: UnitOfWork, person: Person, other: Person, now: datetime) -> IdentityChange:
        galleries = made_at(uow, uow.galleries.of(person.id))
        seen_at = uow.sightings.last(person.id)
        templates = tuple(template.id for template in uow.templates.of(person.id))
        uow.templates.move(templates, other.id)
        joined = tuple(gallery for gallery in galleries if uow.galleries.join(gallery, other.id))
        if seen_at is not None:
            uow.sightings.note({other.id: seen_at})
        uow.people.withdraw(person.id)
        before = Before(person, templates, galleries, joined, seen_at)
        change = IdentityChange(self.identifiers.new(CHANGE), MERGE, person.id, other.id, now, before)
        uow.identities.add(change)
        return change


def made_at(uow: UnitOfWork, galleries: tuple[str, ...]) -> dict[str, datetime]:
    """Those of these galleries that exist, and when each was made."""
    held = (uow.galleries.get(gallery) for gallery in galleries)
    return {gallery.id: gallery.created_at for gallery in held if gallery is not None}


def _entry(change: IdentityChange, now: datetime) -> Entry:
    # Not whose templates they were: that one may be there again one day, and be erased alone. The change tells, for as
    # long as nobody of the two is.
    private = {"change": change.id}
    return Entry(
        MERGED, now, person_id=change.other_id, private=private, facts={"templates": len(change.before.templates)}
    )
