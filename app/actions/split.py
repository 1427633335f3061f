"""One person turns out to be two: some of the templates become a new person's."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.actions.in_step import Report, bring_in_step, to_log
from app.actions.merge import Changed, made_at
from app.actions.people import found, placed, refuse_beyond
from app.domain.audit import Entry
from app.domain.gallery import Within
from app.domain.identity import CHANGE, SPLIT, Before, IdentityChange
from app.domain.particulars import line
from app.domain.person import Person
from app.errors import InvalidField, UnknownTemplate
from app.ports import Clock, Gallery, Identifiers, Store, UnitOfWork

WAS_SPLIT = "person.split"


@dataclass(frozen=True, slots=True)
class Split:
    """Splits a new person off. Raises UnknownPerson (Erased, Merged), UnknownTemplate, InvalidField, OutOfScope.

    In one transaction the new person's row is written, the templates change hands, the new person joins the galleries
    of the old one, and what undoing needs is written.
    """

    store: Store
    gallery: Gallery
    clock: Clock
    identifiers: Identifiers
    report: Report = to_log

    def __call__(
        self, person_id: str, templates: Sequence[str], name: str | None = None, *, within: Within = None
    ) -> Changed:
        """templates: ids of some, but not all, that the person has; name: of the new person, None: the old one's.

        The new person may do what the old one may: active, face_opt_out, validity and groups are the same. What belongs
        to one human being is not copied: external_id, metadata and consent. within: a caller who is bound splits only
        persons of whom it sees every gallery.
        """
        named = tuple(dict.fromkeys(templates))
        if not named:
            raise InvalidField("templates", "Name at least one template.")
        chosen = None if name is None else line("name", name)
        with self.store.write() as uow:
            person = found(uow, person_id, within)
            refuse_beyond(uow, (person_id,), within)
            theirs = {template.id for template in uow.templates.of(person_id)}
            if not theirs.issuperset(named):
                raise UnknownTemplate
            if theirs == set(named):
                raise InvalidField("templates", "Name not all of them: at least one stays with the person.")
            now = self.clock.now()
            fresh = self._fresh(person, chosen, now)
            change = self._split(uow, fresh, person, named)
            uow.audit.append(_entry(change, now))
            persons = tuple(placed(uow, [person, fresh]))
            committed = uow.commit()
        bring_in_step(self.gallery, committed, self.report)
        return Changed(change, persons, committed)

    def _fresh(self, person: Person, name: str | None, now: datetime) -> Person:
        return replace(
            person,
            id=self.identifiers.new("per"),
            name=name or person.name,
            created_at=now,
            updated_at=now,
            revision=1,
            external_id=None,
            metadata={},
            consent=None,
        )

    def _split(self, uow: UnitOfWork, fresh: Person, person: Person, templates: tuple[str, ...]) -> IdentityChange:
        galleries = made_at(uow, uow.galleries.of(person.id))
        uow.people.add(fresh)
        uow.templates.move(templates, fresh.id)
        for gallery in galleries:
            uow.galleries.join(gallery, fresh.id)
        before = Before(fresh, templates, galleries)
        change = IdentityChange(self.identifiers.new(CHANGE), SPLIT, fresh.id, person.id, fresh.created_at, before)
        uow.identities.add(change)
        return change


def _entry(change: IdentityChange, now: datetime) -> Entry:
    # Not whom: that one may be erased alone. The change tells, for as long as nobody of the two is.
    private = {"change": change.id}
    facts = {"templates": len(change.before.templates)}
    return Entry(WAS_SPLIT, now, person_id=change.other_id, private=private, facts=facts)
