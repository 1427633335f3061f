"""Persons in memory."""

import json
from collections.abc import Sequence
from dataclasses import replace

from app import ports
from app.domain.person import Person
from app.errors import PersonExists, Stale, UnknownPerson
from app.store.memory.identities import forget_changes
from app.store.memory.rows import Transaction, oldest_first
from app.store.rows.names import folded


class MemoryPeople:
    """Fits `ports.People`."""

    def __init__(self, uow: Transaction) -> None:
        self._uow = uow

    def add(self, person: Person) -> None:
        rows = self._uow.rows_to_change()
        if person.id in rows.persons or person.id in rows.erased_ids:
            raise PersonExists
        if any(change.person_id == person.id for change in rows.identities.values()):
            raise PersonExists
        rows.persons[person.id] = _own_person(person)

    def get(self, person_id: str) -> Person | None:
        person = self._uow.rows().persons.get(person_id)
        return None if person is None else _own_person(person)

    def owners(self, template_ids: Sequence[str]) -> dict[str, Person]:
        rows = self._uow.rows()
        held = (rows.templates[id_] for id_ in template_ids if id_ in rows.templates)
        return {template.id: _own_person(rows.persons[template.person_id]) for template in held}

    def replace(self, person: Person) -> None:
        rows = self._uow.rows_to_change()
        stored = rows.persons.get(person.id)
        if stored is None:
            raise UnknownPerson
        if stored.revision != person.revision - 1:
            raise Stale
        rows.persons[person.id] = _own_person(person)
        rows.note("person", person.id, "update")

    def page(self, which: ports.PersonFilter, *, after: str | None, limit: int) -> list[Person]:
        rows = self._uow.rows()
        found = (rows.persons[id_] for id_ in sorted(rows.persons) if after is None or id_ > after)
        return [_own_person(person) for person in found if _fits(person, which, rows.members)][:limit]

    def count(self) -> int:
        return len(self._uow.rows().persons)

    def keys(self, person_id: str) -> int:
        return self._uow.count_keys(person_id)

    def erase(self, person_id: str) -> int:
        rows = self._uow.rows_to_change()
        if rows.persons.pop(person_id, None) is None:
            raise UnknownPerson
        theirs = [template.id for template in oldest_first(rows, person_id)]
        for template_id in theirs:
            rows.drop_template(template_id)
        rows.members = {pair for pair in rows.members if pair[1] != person_id}
        rows.sightings.pop(person_id, None)
        rows.note("person", person_id, "remove")
        gone = (person_id, *forget_changes(rows.identities, person_id))
        rows.erased_ids |= set(gone)
        self._uow.erased.extend(gone)
        return len(theirs)

    def withdraw(self, person_id: str) -> None:
        rows = self._uow.rows_to_change()
        if oldest_first(rows, person_id):
            raise RuntimeError("a person who has templates cannot be withdrawn")
        if rows.persons.pop(person_id, None) is None:
            raise UnknownPerson
        rows.members = {pair for pair in rows.members if pair[1] != person_id}
        rows.sightings.pop(person_id, None)
        rows.note("person", person_id, "remove")

    def restore(self, person: Person) -> None:
        rows = self._uow.rows_to_change()
        if person.id in rows.persons or person.id in rows.erased_ids:
            raise PersonExists
        rows.persons[person.id] = _own_person(person)
        rows.note("person", person.id, "add")


def _own_person(person: Person) -> Person:
    # Through JSON, as in SQL: what cannot be stored there is refused here too, and no caller shares a dictionary.
    return replace(person, metadata=json.loads(json.dumps(dict(person.metadata))), groups=tuple(person.groups))


def _fits(person: Person, which: ports.PersonFilter, members: set[tuple[str, str]]) -> bool:
    if which.galleries is not None and not any((gallery, person.id) in members for gallery in which.galleries):
        return False
    if which.external_id is not None and person.external_id != which.external_id:
        return False
    return which.name is None or folded(which.name) in folded(person.name)
