"""API keys in SQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from app.domain.key import Key
from app.errors import UnknownKey
from app.store.tables import KEYS

_ROWS = select(
    *(KEYS.c.id, KEYS.c.name, KEYS.c.scopes, KEYS.c.created_at, KEYS.c.digest, KEYS.c.expires_at, KEYS.c.revoked_at),
    *(KEYS.c.galleries, KEYS.c.rate_per_minute, KEYS.c.concurrency),
)
_GET = _ROWS.where(KEYS.c.id == bindparam("key_id"))
# "" comes before every id.
_PAGE = _ROWS.where(KEYS.c.id > bindparam("after")).order_by(KEYS.c.id).limit(bindparam("most"))
_COUNT = select(func.count()).select_from(KEYS)
_INSERT = insert(KEYS)
# The first revocation counts: a second must not make the key look alive for longer.
_REVOKE = (
    update(KEYS)
    .where(KEYS.c.id == bindparam("key_id"))
    .values(revoked_at=func.coalesce(KEYS.c.revoked_at, bindparam("at", type_=KEYS.c.revoked_at.type)))
)


class SqlKeys:
    """Fits `ports.Keys`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, key: Key) -> None:
        """Inserts."""
        values = {
            "id": key.id,
            "name": key.name,
            "scopes": sorted(key.scopes),
            "created_at": key.created_at,
            "digest": key.digest,
            "expires_at": key.expires_at,
            "revoked_at": key.revoked_at,
            "galleries": None if key.galleries is None else sorted(key.galleries),
            "rate_per_minute": key.rate_per_minute,
            "concurrency": key.concurrency,
        }
        self._connection.execute(_INSERT, values)

    def get(self, key_id: str) -> Key | None:
        """The key, revoked or not, or None."""
        row = self._connection.execute(_GET, {"key_id": key_id}).first()
        return None if row is None else _key(row)

    def page(self, *, after: str | None, limit: int) -> list[Key]:
        """At most `limit` keys in order of id, those behind the id `after`."""
        return [_key(row) for row in self._connection.execute(_PAGE, {"after": after or "", "most": limit})]

    def revoke(self, key_id: str, at: datetime) -> None:
        """Marks the key as revoked. Raises UnknownKey."""
        if self._connection.execute(_REVOKE, {"key_id": key_id, "at": at}).rowcount == 0:
            raise UnknownKey

    def count(self) -> int:
        """Number of keys, revoked ones included."""
        return self._connection.execute(_COUNT).scalar_one()


def _key(row: Sequence[Any]) -> Key:
    id_, name, scopes, created_at, digest, expires_at, revoked_at, galleries, rate_per_minute, concurrency = row
    # An empty list is a key bound to nothing, and not one that is not bound.
    bound = None if galleries is None else frozenset(galleries)
    limits = (rate_per_minute, concurrency)
    return Key(id_, name, frozenset(scopes), created_at, digest, expires_at, revoked_at, bound, *limits)
