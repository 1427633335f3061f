"""A merge or a split was a mistake: everything goes back to where it was."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from app.actions.in_step import Report, bring_in_step, to_log
from app.actions.merge import Changed, made_at
from app.actions.people import found, placed, refuse_beyond
from app.domain.audit import Entry
from app.domain.gallery import Within
from app.domain.identity import MERGE, IdentityChange
from app.domain.particulars import is_id
from app.errors import CannotUndo, Obstacle, UnknownIdentityChange, UnknownPerson
from app.ports import Clock, Gallery, Store, UnitOfWork

UNDONE = "person.{kind}_undone"


@dataclass(frozen=True, slots=True)
class Undo:
    """Undoes a merge or a split. Raises UnknownIdentityChange, CannotUndo, OutOfScope.

    In one transaction. Galleries that are gone since are left out: nobody is in them any more. What the other person
    got since, templates and galleries, stays with the other person.
    """

    store: Store
    gallery: Gallery
    clock: Clock
    report: Report = to_log

    def __call__(self, change_id: str, *, within: Within = None) -> Changed:
        """within: a caller who is bound undoes only what touches no gallery but its own."""
        with self.store.write() as uow:
            change = _known(uow, change_id, within)
            # First: what is in the way may lie in galleries that the caller must not know of.
            refuse_beyond(uow, (change.person_id, change.other_id), within, also=change.before.galleries)
            if obstacles := tuple(_obstacles(uow, change)):
                raise CannotUndo(obstacles)
            now = self.clock.now()
            (_put_back if change.kind == MERGE else _take_back)(uow, change)
            uow.identities.mark_undone(change.id, now)
            uow.audit.append(_entry(change, now))
            there = (uow.people.get(id_) for id_ in (change.other_id, change.person_id))
            persons = tuple(placed(uow, [person for person in there if person is not None]))
            committed = uow.commit()
        bring_in_step(self.gallery, committed, self.report)
        return Changed(replace(change, undone_at=now), persons, committed)


def _known(uow: UnitOfWork, change_id: str, within: Within) -> IdentityChange:
    change = uow.identities.get(change_id) if is_id(change_id) else None
    if change is None:
        raise UnknownIdentityChange
    if within is not None:
        try:
            found(uow, change.other_id, within)
        except UnknownPerson:
            raise UnknownIdentityChange from None
    return change


def _obstacles(uow: UnitOfWork, change: IdentityChange) -> Iterator[Obstacle]:
    if change.undone_at is not None:
        yield Obstacle("change", change.id, "it was undone already")
        return
    holder = change.other_id if change.kind == MERGE else change.person_id
    for person_id in dict.fromkeys((change.other_id, holder)):
        if uow.people.get(person_id) is None:
            yield Obstacle("person", person_id, "this person was merged into another since: undo that first")
    if change.kind == MERGE and uow.people.get(change.person_id) is not None:
        yield Obstacle("person", change.person_id, "somebody has that id")
    owners = uow.people.owners(change.before.templates)
    for template_id in change.before.templates:
        if template_id not in owners:
            yield Obstacle("template", template_id, "it was removed since")
        elif owners[template_id].id != holder:
            yield Obstacle("template", template_id, "it is somebody else's since")
    if change.kind != MERGE:
        yield from _news_of_who_was_split_off(uow, change)


def _news_of_who_was_split_off(uow: UnitOfWork, change: IdentityChange) -> Iterator[Obstacle]:
    """What would be lost with the row of the new person."""
    person = uow.people.get(change.person_id)
    if person is None:
        return
    if person != change.before.person:
        yield Obstacle("person", person.id, "this person was changed since")
    for template in uow.templates.of(person.id):
        if template.id not in change.before.templates:
            yield Obstacle("template", template.id, "it was added since")
    joined = set(uow.galleries.of(person.id))
    for gallery in sorted(joined ^ _still_there(uow, change).keys()):
        why = "the person was put into it since" if gallery in joined else "the person was taken out of it since"
        yield Obstacle("gallery", gallery, why)


def _put_back(uow: UnitOfWork, change: IdentityChange) -> None:
    """Undoes a merge."""
    before, galleries = change.before, _still_there(uow, change)
    uow.people.restore(before.person)
    uow.templates.move(before.templates, change.person_id)
    for gallery in galleries:
        uow.galleries.join(gallery, change.person_id)
        if gallery in before.joined:
            uow.galleries.leave(gallery, change.other_id)
    if before.seen_at is not None:
        uow.sightings.note({change.person_id: before.seen_at})


def _take_back(uow: UnitOfWork, change: IdentityChange) -> None:
    """Undoes a split."""
    seen_at = uow.sightings.last(change.person_id)
    uow.templates.move(change.before.templates, change.other_id)
    if seen_at is not None:
        uow.sightings.note({change.other_id: seen_at})
    uow.people.withdraw(change.person_id)


def _still_there(uow: UnitOfWork, change: IdentityChange) -> dict[str, datetime]:
    """The person's galleries, but none that was removed since, or made anew under the same id."""
    then = change.before.galleries
    return {id_: made for id_, made in made_at(uow, tuple(then)).items() if made == then[id_]}


def _entry(change: IdentityChange, now: datetime) -> Entry:
    private = {"change": change.id}
    return Entry(UNDONE.format(kind=change.kind), now, person_id=change.other_id, private=private)
