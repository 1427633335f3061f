"""When persons were last recognized, in SQL: what their retention goes by."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Executable, bindparam, exists, select
from sqlalchemy.dialects import postgresql, sqlite

from app.store.tables import PERSONS, SIGHTINGS, TEMPLATES

_AT = SIGHTINGS.c.seen_at.type


def _upsert(insert: Any) -> Executable:
    # From the row of the person: whoever has none any more is passed over.
    values = select(PERSONS.c.id, bindparam("at", type_=_AT)).where(PERSONS.c.id == bindparam("who"))
    statement = insert(SIGHTINGS).from_select(["person_id", "seen_at"], values)
    latest = statement.excluded.seen_at
    upsert: Executable = statement.on_conflict_do_update(
        index_elements=["person_id"], set_={"seen_at": latest}, where=SIGHTINGS.c.seen_at < latest
    )
    return upsert


_NOTE = {"sqlite": _upsert(sqlite.insert), "postgresql": _upsert(postgresql.insert)}
_LAST = select(SIGHTINGS.c.seen_at).where(SIGHTINGS.c.person_id == bindparam("who"))
_SINCE = bindparam("since", type_=_AT)
_NOT_SEEN = select(PERSONS.c.id).where(
    PERSONS.c.updated_at < _SINCE,
    PERSONS.c.created_at < _SINCE,
    ~exists().where(SIGHTINGS.c.person_id == PERSONS.c.id, SIGHTINGS.c.seen_at >= _SINCE),
    ~exists().where(TEMPLATES.c.person_id == PERSONS.c.id, TEMPLATES.c.created_at >= _SINCE),
)
_UNSEEN = _NOT_SEEN.where(PERSONS.c.id > bindparam("after")).order_by(PERSONS.c.id).limit(bindparam("most"))
_IS_UNSEEN = _NOT_SEEN.where(PERSONS.c.id == bindparam("who"))


class SqlSightings:
    """Fits `ports.Sightings`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def note(self, seen: Mapping[str, datetime]) -> None:
        """Person id -> when. The latest time counts; who has no row any more is passed over."""
        if seen:
            rows = [{"who": person_id, "at": at} for person_id, at in seen.items()]
            self._connection.execute(_NOTE[self._connection.dialect.name], rows)

    def last(self, person_id: str) -> datetime | None:
        """When that person was last recognized, or None."""
        return self._connection.execute(_LAST, {"who": person_id}).scalar()

    def unseen(self, since: datetime, *, after: str | None, limit: int) -> list[str]:
        """Ids of persons not seen, nor enrolled, nor given a template, nor changed since, in order, behind `after`."""
        which = {"since": since, "after": after or "", "most": limit}
        return list(self._connection.execute(_UNSEEN, which).scalars())

    def is_unseen(self, person_id: str, since: datetime) -> bool:
        """Whether `unseen` would name that person now."""
        return self._connection.execute(_IS_UNSEEN, {"who": person_id, "since": since}).first() is not None
