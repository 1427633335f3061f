"""Merges and splits in SQL; what undoing them needs is sealed under a key of the person who has it all."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, insert, or_, select, update

from app.domain.identity import Before, IdentityChange
from app.domain.person import Person
from app.errors import SealBroken, UnknownIdentityChange
from app.store.audit.scribe import TRAIL, PersonalKeys
from app.store.tables import IDENTITY_CHANGES, listed

_ROWS: Select[Any] = select(
    IDENTITY_CHANGES.c.id,
    IDENTITY_CHANGES.c.kind,
    IDENTITY_CHANGES.c.person_id,
    IDENTITY_CHANGES.c.other_id,
    IDENTITY_CHANGES.c.made_at,
    IDENTITY_CHANGES.c.undone_at,
    IDENTITY_CHANGES.c.key_id,
    IDENTITY_CHANGES.c.sealed,
)
_GET = _ROWS.where(IDENTITY_CHANGES.c.id == bindparam("change_id"))
_OF = _ROWS.where(
    or_(IDENTITY_CHANGES.c.person_id == bindparam("person_id"), IDENTITY_CHANGES.c.other_id == bindparam("person_id"))
).order_by(IDENTITY_CHANGES.c.made_at, IDENTITY_CHANGES.c.id)
# Merges that count, and splits that were undone: there the one is in the other.
_IN_OTHER = or_(
    (IDENTITY_CHANGES.c.kind == "merge") & IDENTITY_CHANGES.c.undone_at.is_(None),
    (IDENTITY_CHANGES.c.kind == "split") & IDENTITY_CHANGES.c.undone_at.is_not(None),
)
_WENT_TO = select(IDENTITY_CHANGES.c.other_id).where(IDENTITY_CHANGES.c.person_id == bindparam("person_id"), _IN_OTHER)
_ABSORBED = select(IDENTITY_CHANGES.c.person_id).where(IDENTITY_CHANGES.c.other_id.in_(listed("person_ids")), _IN_OTHER)
_INSERT = insert(IDENTITY_CHANGES)
_UNDO = (
    update(IDENTITY_CHANGES)
    .where(IDENTITY_CHANGES.c.id == bindparam("change_id"), IDENTITY_CHANGES.c.undone_at.is_(None))
    .values(undone_at=bindparam("at", type_=IDENTITY_CHANGES.c.undone_at.type))
)
_FORGET = delete(IDENTITY_CHANGES).where(
    or_(IDENTITY_CHANGES.c.person_id.in_(listed("person_ids")), IDENTITY_CHANGES.c.other_id.in_(listed("person_ids")))
)


class SqlIdentityChanges:
    """Fits `ports.IdentityChanges`."""

    def __init__(self, connection: Connection, keys: PersonalKeys) -> None:
        self._connection = connection
        self._keys = keys

    def add(self, change: IdentityChange) -> None:
        """Inserts, sealed under the key of `other_id`. The commit raises KeyGone for somebody who was erased."""
        key = self._keys.key(change.other_id, TRAIL)
        sealed = key.seal(as_bytes(change.before), _belonging(change.id))
        values = {name: getattr(change, name) for name in ("id", "kind", "person_id", "other_id", "made_at")}
        self._connection.execute(_INSERT, {**values, "key_id": key.key_id, "sealed": sealed})

    def get(self, change_id: str) -> IdentityChange | None:
        """The change, or None. Raises SealBroken."""
        row = self._connection.execute(_GET, {"change_id": change_id}).first()
        return None if row is None else self._opened(row)

    def of(self, person_id: str) -> list[IdentityChange]:
        """Those that the person had a part in, oldest first. Raises SealBroken."""
        return [self._opened(row) for row in self._connection.execute(_OF, {"person_id": person_id}).all()]

    def mark_undone(self, change_id: str, at: datetime) -> None:
        """Notes when it was undone. Raises UnknownIdentityChange where there is none that could be."""
        if self._connection.execute(_UNDO, {"change_id": change_id, "at": at}).rowcount == 0:
            raise UnknownIdentityChange

    def went_to(self, person_id: str) -> str | None:
        """Who has what was this person's; None for somebody who is there, or never was."""
        return self._connection.execute(_WENT_TO, {"person_id": person_id}).scalar()

    def absorbed(self, person_id: str) -> tuple[str, ...]:
        """Whose templates went to that person, directly or over others."""
        return _absorbed(self._connection, person_id)

    def _opened(self, row: Any) -> IdentityChange:
        id_, kind, person_id, other_id, made_at, undone_at, key_id, sealed = row
        (plain,) = self._keys.open_many([(key_id, sealed, _belonging(id_))])
        if isinstance(plain, SealBroken):
            raise plain
        try:
            before = from_bytes(plain)
        except (KeyError, TypeError, ValueError) as e:
            raise SealBroken(f"What undoing {id_} needs cannot be read. Restore it from a backup.") from e
        return IdentityChange(id_, kind, person_id, other_id, made_at, before, undone_at)


def forget_changes(connection: Connection, person_id: str) -> tuple[str, ...]:
    """Deletes every change that tells of that person, or of somebody absorbed; who those were."""
    absorbed = _absorbed(connection, person_id)
    connection.execute(_FORGET, {"person_ids": json.dumps([person_id, *absorbed])})
    return absorbed


def as_bytes(before: Before) -> bytes:
    """JSON; times in ISO 8601."""
    return json.dumps(asdict(before), default=_plain, ensure_ascii=False, separators=(",", ":")).encode()


def from_bytes(plain: bytes) -> Before:
    """What `as_bytes` made. Raises KeyError, TypeError, ValueError."""
    read = json.loads(plain)
    person = read["person"]
    for name in ("created_at", "updated_at", "valid_from", "valid_until"):
        person[name] = _moment(person[name])
    return Before(
        person=Person(**{**person, "groups": tuple(person["groups"])}),
        templates=tuple(read["templates"]),
        galleries={id_: datetime.fromisoformat(made) for id_, made in read["galleries"].items()},
        joined=tuple(read["joined"]),
        seen_at=_moment(read["seen_at"]),
    )


def _absorbed(connection: Connection, person_id: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    latest: Sequence[str] = [person_id]
    while latest:
        rows = connection.execute(_ABSORBED, {"person_ids": json.dumps(list(latest))}).scalars().all()
        latest = [id_ for id_ in rows if id_ not in found]
        found.update(dict.fromkeys(latest))
    return tuple(found)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _belonging(change_id: str) -> bytes:
    return b"onelook identity change " + change_id.encode()
