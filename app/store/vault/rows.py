"""The tables of the vault: the keys of people, wrapped, in a store of their own outside the database."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    LargeBinary,
    MetaData,
    Table,
    bindparam,
    delete,
    exists,
    func,
    insert,
    not_,
    select,
    update,
)

from app.errors import KeyGone
from app.store.tables import TEXT, UtcDateTime, listed

VAULT_TABLES = MetaData()
# The secret whose master key is the one that wraps: it opens with the right ring only.
CURRENT = "vault"

PERSON_KEYS = Table(
    "person_keys",
    VAULT_TABLES,
    Column("key_id", TEXT, primary_key=True),
    Column("person_id", TEXT, nullable=False, index=True),
    Column("purpose", TEXT, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("master_id", TEXT, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # False until the rows that it was made for are known to be committed.
    Column("kept", Boolean, nullable=False),
)
SECRETS = Table(
    "secrets",
    VAULT_TABLES,
    Column("name", TEXT, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("master_id", TEXT, nullable=False),
)
SHREDDED = Table(
    "shredded",
    VAULT_TABLES,
    # Of a person's id or, with another prefix, of a template's.
    Column("person_digest", TEXT, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
)

_FIELDS = tuple(PERSON_KEYS.c[name] for name in ("key_id", "person_id", "purpose", "wrapped", "master_id"))
_MASTER = select(SECRETS.c.master_id).where(SECRETS.c.name == CURRENT)
_WITH_IDS = select(*_FIELDS).where(PERSON_KEYS.c.key_id.in_(listed("key_ids")))
# With the current master key in the same statement: both are of one moment.
_OF_PERSONS = select(*_FIELDS, _MASTER.scalar_subquery()).where(
    PERSON_KEYS.c.person_id.in_(listed("person_ids")), PERSON_KEYS.c.purpose == bindparam("what_for")
)
_COUNT = select(func.count()).select_from(PERSON_KEYS).where(PERSON_KEYS.c.person_id == bindparam("whose"))
_HOLDERS = select(PERSON_KEYS.c.person_id).distinct().where(PERSON_KEYS.c.person_id.in_(listed("person_ids")))
_WAITING = (
    select(PERSON_KEYS.c.key_id)
    .where(
        not_(PERSON_KEYS.c.kept),
        PERSON_KEYS.c.created_at < bindparam("before"),
        PERSON_KEYS.c.key_id > bindparam("after"),
    )
    .order_by(PERSON_KEYS.c.key_id)
    .limit(bindparam("most"))
)
_BEHIND = (
    select(*_FIELDS)
    .where(PERSON_KEYS.c.master_id != bindparam("master"), PERSON_KEYS.c.key_id > bindparam("after"))
    .order_by(PERSON_KEYS.c.key_id)
    .limit(bindparam("most"))
)
_INSERT = insert(PERSON_KEYS)
_KEEP = update(PERSON_KEYS).where(PERSON_KEYS.c.key_id.in_(listed("key_ids"))).values(kept=True)
_REWRAP = (
    update(PERSON_KEYS)
    .where(PERSON_KEYS.c.key_id == bindparam("which"))
    .values(wrapped=bindparam("wrap"), master_id=bindparam("master"))
)
_DROP = delete(PERSON_KEYS).where(PERSON_KEYS.c.key_id.in_(listed("key_ids")))
_DROP_OF = delete(PERSON_KEYS).where(PERSON_KEYS.c.person_id.in_(listed("person_ids")))
_SECRETS = select(SECRETS.c.name, SECRETS.c.wrapped, SECRETS.c.master_id)
_SECRET = _SECRETS.where(SECRETS.c.name == bindparam("which"))
_PUT_SECRET = insert(SECRETS)
_REWRAP_SECRET = (
    update(SECRETS)
    .where(SECRETS.c.name == bindparam("which"))
    .values(wrapped=bindparam("wrap"), master_id=bindparam("master"))
)
_SHREDDED = select(SHREDDED.c.person_digest).where(SHREDDED.c.person_digest.in_(listed("digests")))
_MASTER_AND_SHREDDED = select(
    _MASTER.scalar_subquery(), exists().where(SHREDDED.c.person_digest.in_(listed("digests")))
)
_NOTE_SHREDDED = insert(SHREDDED)
_ANY_SECRET = select(exists().select_from(SECRETS))


class WrappedKey(NamedTuple):
    """A person's key as it is stored."""

    key_id: str
    person_id: str
    purpose: str
    wrapped: bytes
    master_id: str


class WrappedSecret(NamedTuple):
    """A secret of the service as it is stored."""

    name: str
    wrapped: bytes
    master_id: str


class VaultRows:
    """The rows, on a connection. Opens nothing."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        #: Whether something was deleted that must leave the files too.
        self.removed = False

    def current(self) -> str | None:
        """The id of the master key that wraps what is new; None in a vault that was never used."""
        return self._connection.execute(_MASTER).scalar()

    def current_for(self, person_ids: Sequence[str]) -> str | None:
        """The same, for new keys of these persons. Raises KeyGone when one of them was erased."""
        which = {"digests": _json([_digest(id_) for id_ in person_ids])}
        current, erased = self._connection.execute(_MASTER_AND_SHREDDED, which).one()
        if erased:
            raise KeyGone
        return str(current) if current else None

    def with_ids(self, key_ids: Sequence[str]) -> dict[str, WrappedKey]:
        """Those of these keys that there are; one query."""
        rows = self._connection.execute(_WITH_IDS, {"key_ids": _json(key_ids)}).all()
        return {row[0]: WrappedKey(*row) for row in rows}

    def of_persons(self, person_ids: Sequence[str], purpose: str) -> dict[str, WrappedKey]:
        """Person id -> key for that purpose, of those who have one. During a rotation some have two: the new one."""
        rows = self._connection.execute(_OF_PERSONS, {"person_ids": _json(person_ids), "what_for": purpose}).all()
        # By the master key and not by its time: the clocks of two machines may disagree. The last one counts.
        rows = sorted(rows, key=lambda row: (row.master_id == row[-1], row.key_id))
        return {row.person_id: WrappedKey(*row[:-1]) for row in rows}

    def count(self, person_id: str) -> int:
        """How many keys the person has."""
        return self._connection.execute(_COUNT, {"whose": person_id}).scalar_one()

    def holders(self, person_ids: Sequence[str]) -> set[str]:
        """Those of these persons who have a key."""
        return set(self._connection.execute(_HOLDERS, {"person_ids": _json(person_ids)}).scalars())

    def waiting(self, *, before: datetime, after: str, limit: int) -> list[str]:
        """Keys made before that time whose rows are not known to be committed, in order of id, behind `after`."""
        which = {"before": before, "after": after, "most": limit}
        return list(self._connection.execute(_WAITING, which).scalars())

    def behind(self, master_id: str, *, after: str = "", limit: int) -> list[WrappedKey]:
        """Keys wrapped by another master key than that one, in order of id, behind `after`."""
        which = {"master": master_id, "after": after, "most": limit}
        return [WrappedKey(*row) for row in self._connection.execute(_BEHIND, which)]

    def add(self, keys: Sequence[WrappedKey], at: datetime, *, kept: bool) -> None:
        """Inserts."""
        if keys:
            self._connection.execute(_INSERT, [{**key._asdict(), "created_at": at, "kept": kept} for key in keys])

    def keep(self, key_ids: Sequence[str]) -> None:
        """Notes that the rows of these keys are committed."""
        if key_ids:
            self._connection.execute(_KEEP, {"key_ids": _json(key_ids)})

    def rewrap(self, keys: Sequence[WrappedKey]) -> None:
        """Writes the wrapped bytes and the master's id of each anew."""
        if keys:
            rows = [{"which": key.key_id, "wrap": key.wrapped, "master": key.master_id} for key in keys]
            self._connection.execute(_REWRAP, rows)

    def drop(self, key_ids: Sequence[str]) -> int:
        """Deletes for good, but from SQLite's log: whoever drops the last one sets `removed`; how many."""
        return self._connection.execute(_DROP, {"key_ids": _json(key_ids)}).rowcount

    def shred(self, person_ids: Sequence[str], at: datetime) -> int:
        """Deletes every key of these persons for good, and remembers that they get none any more; how many keys."""
        self.removed = True
        self._note([_digest(id_) for id_ in person_ids], at)
        return self._connection.execute(_DROP_OF, {"person_ids": _json(person_ids)}).rowcount

    def shredded(self, person_ids: Sequence[str]) -> set[str]:
        """Those of these persons whose keys were shredded."""
        return self._noted({_digest(id_): id_ for id_ in person_ids})

    def note_templates(self, template_ids: Sequence[str], at: datetime) -> None:
        """Remembers that these templates were removed: the keys that open them in a backup may be another person's."""
        self._note([_template_digest(id_) for id_ in template_ids], at)

    def removed_templates(self, template_ids: Sequence[str]) -> set[str]:
        """Those of these templates that were removed."""
        return self._noted({_template_digest(id_): id_ for id_ in template_ids})

    def secret(self, name: str) -> WrappedSecret | None:
        """That secret, or None."""
        row = self._connection.execute(_SECRET, {"which": name}).first()
        return None if row is None else WrappedSecret(*row)

    def secrets(self) -> list[WrappedSecret]:
        """All of them."""
        return [WrappedSecret(*row) for row in self._connection.execute(_SECRETS)]

    def put_secret(self, secret: WrappedSecret) -> None:
        """Inserts, or writes anew."""
        values = {"which": secret.name, "wrap": secret.wrapped, "master": secret.master_id}
        if self._connection.execute(_REWRAP_SECRET, values).rowcount == 0:
            self._connection.execute(_PUT_SECRET, secret._asdict())

    def is_used(self) -> bool:
        """Whether the vault holds anything."""
        return bool(self._connection.execute(_ANY_SECRET).scalar())

    def _note(self, digests: Sequence[str], at: datetime) -> None:
        known = self._noted({digest: digest for digest in digests})
        fresh = [{"person_digest": digest, "at": at} for digest in dict.fromkeys(digests) if digest not in known]
        if fresh:
            self._connection.execute(_NOTE_SHREDDED, fresh)

    def _noted(self, digests: dict[str, str]) -> set[str]:
        found = self._connection.execute(_SHREDDED, {"digests": _json(list(digests))}).scalars()
        return {digests[digest] for digest in found}


def _digest(person_id: str) -> str:
    return hashlib.sha256(b"onelook shredded v1\0" + person_id.encode()).hexdigest()


def _template_digest(template_id: str) -> str:
    return hashlib.sha256(b"onelook removed template v1\0" + template_id.encode()).hexdigest()


def _json(texts: Sequence[str]) -> str:
    return json.dumps(list(texts))
