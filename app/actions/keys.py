"""API keys: made, listed, revoked."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.key import SCOPES, Key
from app.domain.particulars import in_utc, is_id, line
from app.errors import InvalidField, LastAdminKey, UnknownKey
from app.ports import Clock, Identifiers, Store, UnitOfWork

MARK = "olk"
PAGE = 500


@dataclass(frozen=True, slots=True)
class MakeKey:
    """Makes a key. Raises InvalidField. Writes its row, which holds only a digest of the secret."""

    store: Store
    clock: Clock
    identifiers: Identifiers

    def __call__(
        self,
        name: str,
        scopes: Sequence[str],
        expires_at: datetime | None = None,
        *,
        before_commit: Callable[[str], None] = lambda text: None,
    ) -> tuple[Key, str]:
        """The key as stored, and `olk_<id>_<secret>`, which is known only now and to `before_commit`."""
        now = self.clock.now()
        if unknown := sorted(set(scopes) - set(SCOPES)):
            raise InvalidField("scopes", f"There is no scope {unknown[0]!r}; there are: {', '.join(SCOPES)}.")
        if not scopes:
            raise InvalidField("scopes", "At least one scope is needed.")
        expires_at = in_utc("expires_at", expires_at)
        if expires_at is not None and expires_at <= now:
            raise InvalidField("expires_at", "It must lie in the future.")
        secret = self.identifiers.secret()
        key = Key(
            id=self.identifiers.new(MARK).removeprefix(f"{MARK}_"),
            name=line("name", name),
            scopes=frozenset(scopes),
            created_at=now,
            digest=digest(secret),
            expires_at=expires_at,
        )
        text = f"{MARK}_{key.id}_{secret}"
        with self.store.write() as uow:
            uow.keys.add(key)
            before_commit(text)
            uow.commit()
        return key, text


@dataclass(frozen=True, slots=True)
class ListKeys:
    """Keys in order of id, revoked ones included. Read-only."""

    store: Store

    def __call__(self, *, after: str | None, limit: int) -> Sequence[Key]:
        """At most `limit` keys behind the id `after`."""
        with self.store.read() as uow:
            return uow.keys.page(after=after, limit=limit)


@dataclass(frozen=True, slots=True)
class RevokeKey:
    """Ends a key at once. Raises UnknownKey, and LastAdminKey where nobody could make keys any more."""

    store: Store
    clock: Clock

    def __call__(self, key_id: str) -> Key:
        """The key as it is now; a key that was revoked before stays as it was."""
        now = self.clock.now()
        with self.store.write() as uow:
            key = uow.keys.get(key_id) if is_id(key_id) else None
            if key is None:
                raise UnknownKey
            if _is_admin(key, now) and not any(_is_admin(k, now) for k in _all(uow) if k.id != key.id):
                raise LastAdminKey
            if key.revoked_at is None:
                uow.keys.revoke(key_id, now)
            revoked = uow.keys.get(key_id)
            uow.commit()
        if revoked is None:
            raise UnknownKey
        return revoked


def digest(secret: str) -> bytes:
    """What is stored of a secret. It has 256 random bits, so that a fast hash keeps it."""
    return hashlib.sha256(secret.encode()).digest()


def _is_admin(key: Key, now: datetime) -> bool:
    return "admin" in key.scopes and key.revoked_at is None and (key.expires_at is None or key.expires_at > now)


def _all(uow: UnitOfWork) -> Iterator[Key]:
    after: str | None = None
    while page := uow.keys.page(after=after, limit=PAGE):
        yield from page
        after = page[-1].id
