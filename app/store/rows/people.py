"""Persons in SQL."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, or_, select, update

from app.domain.person import Person
from app.errors import PersonExists, Stale, UnknownPerson
from app.ports import PersonFilter
from app.store.rows.changes import SqlChanges
from app.store.rows.identity_changes import forget_changes
from app.store.rows.names import folded
from app.store.tables import ERASED_IDS, IDENTITY_CHANGES, MEMBERS, PERSONS, SIGHTINGS, TEMPLATES, listed
from app.store.vault.unit_keys import UnitKeys

# In the order of Person's fields, so that a row is the arguments of a Person.
_FIELDS = tuple(PERSONS.c[name] for name in Person.__dataclass_fields__)
_GROUPS = _FIELDS.index(PERSONS.c.groups)

_GET = select(*_FIELDS).where(PERSONS.c.id == bindparam("person_id"))
_OWNERS = (
    select(TEMPLATES.c.id, *_FIELDS).join_from(TEMPLATES, PERSONS).where(TEMPLATES.c.id.in_(listed("template_ids")))
)
_PAGE = select(*_FIELDS).order_by(PERSONS.c.id).limit(bindparam("most"))
_COUNT = select(func.count()).select_from(PERSONS)
_IS_TAKEN = select(
    or_(
        exists().where(ERASED_IDS.c.person_id == bindparam("person_id")),
        exists().where(PERSONS.c.id == bindparam("person_id")),
    )
)
# The id of somebody merged stays taken; nobody who is there needs to be looked for here.
_IS_PART_OF_ANOTHER = select(exists().where(IDENTITY_CHANGES.c.person_id == bindparam("person_id")))
_INSERT = insert(PERSONS)
_REPLACE = update(PERSONS).where(
    PERSONS.c.id == bindparam("person_id"), PERSONS.c.revision == bindparam("read_revision")
)
_TEMPLATE_IDS = (
    select(TEMPLATES.c.id)
    .where(TEMPLATES.c.person_id == bindparam("person_id"))
    .order_by(TEMPLATES.c.created_at, TEMPLATES.c.id)
)
_DELETE_TEMPLATES = delete(TEMPLATES).where(TEMPLATES.c.person_id == bindparam("owner_id"))
_DELETE_TRACES = (
    delete(MEMBERS).where(MEMBERS.c.person_id == bindparam("owner_id")),
    delete(SIGHTINGS).where(SIGHTINGS.c.person_id == bindparam("owner_id")),
)
_DELETE = delete(PERSONS).where(PERSONS.c.id == bindparam("person_id"))
_TAKE_ID = insert(ERASED_IDS)


class SqlPeople:
    """Fits `ports.People`."""

    def __init__(self, connection: Connection, changes: SqlChanges, keys: UnitKeys) -> None:
        self._connection = connection
        self._changes = changes
        self._keys = keys

    def add(self, person: Person) -> None:
        """Inserts. Raises PersonExists when the id is taken or was erased."""
        # Asked first, and not caught: a refused statement would end the transaction on PostgreSQL. Writers are serial.
        which = {"person_id": person.id}
        taken = any(self._connection.execute(query, which).scalar() for query in (_IS_TAKEN, _IS_PART_OF_ANOTHER))
        # The vault knows of erasures that a database that was restored does not.
        if taken or self._keys.shredded([person.id]):
            raise PersonExists
        self._connection.execute(_INSERT, personal_columns(person))
        self._keys.expect(person.id)

    def get(self, person_id: str) -> Person | None:
        """The person, or None."""
        row = self._connection.execute(_GET, {"person_id": person_id}).first()
        return None if row is None else _person(row)

    def owners(self, template_ids: Sequence[str]) -> dict[str, Person]:
        """Template id -> person, for those templates that still have a row; one query."""
        rows = self._connection.execute(_OWNERS, {"template_ids": json.dumps(list(template_ids))})
        # All at once: fetched one by one, rows cost more than the query.
        return {row[0]: _person(row[1:]) for row in rows.all()}

    def replace(self, person: Person) -> None:
        """Writes every field. Raises Stale, or UnknownPerson when there is no row."""
        values = personal_columns(person)
        values.update(person_id=values.pop("id"), read_revision=person.revision - 1)
        if self._connection.execute(_REPLACE, values).rowcount == 0:
            raise UnknownPerson if self.get(person.id) is None else Stale
        self._changes.note("person", [person.id], "update")

    def page(self, which: PersonFilter, *, after: str | None, limit: int) -> list[Person]:
        """At most `limit` persons in order of id, those behind the id `after`."""
        query = _PAGE
        if after is not None:
            query = query.where(PERSONS.c.id > after)
        if which.external_id is not None:
            query = query.where(PERSONS.c.external_id == which.external_id)
        if which.galleries is not None:
            theirs = select(MEMBERS.c.person_id).where(MEMBERS.c.gallery_id.in_(sorted(which.galleries)))
            query = query.where(PERSONS.c.id.in_(theirs))
        if which.name is not None:
            query = query.where(PERSONS.c.name_folded.contains(folded(which.name), autoescape=True))
        return [_person(row) for row in self._connection.execute(query, {"most": limit})]

    def count(self) -> int:
        """Number of persons."""
        return self._connection.execute(_COUNT).scalar_one()

    def keys(self, person_id: str) -> int:
        """How many keys of that person the vault holds; `erase` has them destroyed after its commit."""
        return self._keys.count(person_id)

    def erase(self, person_id: str) -> int:
        """Deletes the person and all templates; how many templates. Raises UnknownPerson."""
        theirs = self._connection.execute(_TEMPLATE_IDS, {"person_id": person_id}).scalars().all()
        absorbed = forget_changes(self._connection, person_id)
        for statement in (_DELETE_TEMPLATES, *_DELETE_TRACES):
            self._connection.execute(statement, {"owner_id": person_id})
        if self._connection.execute(_DELETE, {"person_id": person_id}).rowcount == 0:
            raise UnknownPerson
        self._changes.note("template", theirs, "remove")
        # In a backup from before a split, or an undone merge, they lie sealed under the other person's key.
        self._keys.remove(theirs)
        self._changes.note("person", [person_id], "remove")
        # Who was merged into this person is the same one: what their keys still open goes too.
        for id_ in (person_id, *absorbed):
            self._connection.execute(_TAKE_ID, {"person_id": id_})
            self._keys.erase(id_)
        return len(theirs)

    def withdraw(self, person_id: str) -> None:
        """Deletes a person who has no template any more, but no key. Raises UnknownPerson."""
        for statement in _DELETE_TRACES:
            self._connection.execute(statement, {"owner_id": person_id})
        if self._connection.execute(_DELETE, {"person_id": person_id}).rowcount == 0:
            raise UnknownPerson
        self._changes.note("person", [person_id], "remove")

    def restore(self, person: Person) -> None:
        """Inserts somebody who was withdrawn. Raises PersonExists when somebody has the id."""
        if self._connection.execute(_IS_TAKEN, {"person_id": person.id}).scalar():
            raise PersonExists
        self._connection.execute(_INSERT, personal_columns(person))
        self._changes.note("person", [person.id], "add")


def _person(row: Sequence[Any]) -> Person:
    fields = list(row)
    fields[_GROUPS] = tuple(fields[_GROUPS])
    return Person(*fields)


def personal_columns(person: Person) -> dict[str, Any]:
    """A person's row by column."""
    values: dict[str, Any] = {name: getattr(person, name) for name in Person.__dataclass_fields__}
    values["metadata"] = dict(person.metadata)
    values["groups"] = list(person.groups)
    values["name_folded"] = folded(person.name)
    return values
