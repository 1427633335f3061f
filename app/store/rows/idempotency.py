"""Requests that may be sent again, in SQL."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from app.domain.idempotency import Remembered
from app.store.tables_of_work import IDEMPOTENCY, IDEMPOTENCY_PERSONS

_FIELDS = tuple(IDEMPOTENCY.c[name] for name in Remembered.__dataclass_fields__)
_GET = select(*_FIELDS).where(IDEMPOTENCY.c.id == bindparam("record_id"))
_INSERT = insert(IDEMPOTENCY)
_FINISH = update(IDEMPOTENCY).where(
    IDEMPOTENCY.c.id == bindparam("record_id"),
    IDEMPOTENCY.c.token == bindparam("held_token"),
    IDEMPOTENCY.c.status.is_(None),
)
_NAME = insert(IDEMPOTENCY_PERSONS)
# Not where an answer is kept: a commit that nobody acknowledged may have been made, and must not be made again.
_FORGET = delete(IDEMPOTENCY).where(
    IDEMPOTENCY.c.id == bindparam("record_id"),
    IDEMPOTENCY.c.token == bindparam("held_token"),
    IDEMPOTENCY.c.status.is_(None),
)
_FORGET_ANY = delete(IDEMPOTENCY).where(IDEMPOTENCY.c.id == bindparam("record_id"))
_OF_PERSON = select(IDEMPOTENCY_PERSONS.c.record_id).where(IDEMPOTENCY_PERSONS.c.person_id == bindparam("person_id"))
_EXPIRED = delete(IDEMPOTENCY).where(IDEMPOTENCY.c.expires_at <= bindparam("now", type_=IDEMPOTENCY.c.expires_at.type))


class SqlIdempotency:
    """Fits `ports.Idempotency`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, record_id: str) -> Remembered | None:
        """The record, whether it still counts or not, or None."""
        row = self._connection.execute(_GET, {"record_id": record_id}).first()
        return None if row is None else Remembered(*row)

    def start(self, record: Remembered) -> None:
        """Writes it in place of any that has its id."""
        self._connection.execute(_FORGET_ANY, {"record_id": record.id})
        values = {name: getattr(record, name) for name in Remembered.__dataclass_fields__}
        self._connection.execute(_INSERT, values | {"headers": dict(record.headers)})

    def finish(self, record: Remembered, person_ids: Sequence[str]) -> bool:
        """Keeps the answer in `record`, and whom it tells of; False where another attempt took over."""
        values = {
            "record_id": record.id,
            "held_token": record.token,
            "status": record.status,
            "headers": dict(record.headers),
            "body": record.body,
        }
        if self._connection.execute(_FINISH, values).rowcount == 0:
            return False
        told = [{"record_id": record.id, "person_id": id_} for id_ in dict.fromkeys(person_ids)]
        if told:
            self._connection.execute(_NAME, told)
        return True

    def forget(self, record: Remembered) -> None:
        """Deletes it, unless another attempt took over or its answer is kept."""
        self._connection.execute(_FORGET, {"record_id": record.id, "held_token": record.token})

    def forget_person(self, person_id: str) -> int:
        """Deletes every record whose answer tells of that person; how many."""
        ids = self._connection.execute(_OF_PERSON, {"person_id": person_id}).scalars().all()
        for record_id in ids:
            self._connection.execute(_FORGET_ANY, {"record_id": record_id})
        return len(ids)

    def count_person(self, person_id: str) -> int:
        """How many records tell of that person."""
        return len(self._connection.execute(_OF_PERSON, {"person_id": person_id}).all())

    def sweep(self, now: datetime) -> int:
        """Deletes what has expired; how many."""
        return self._connection.execute(_EXPIRED, {"now": now}).rowcount
