"""API keys: made, listed, revoked."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.actions import entries
from app.domain.gallery import EVERYBODY
from app.domain.key import SCOPES, Key
from app.domain.particulars import in_utc, is_id, line
from app.errors import InvalidField, LastAdminKey, UnknownGallery, UnknownKey
from app.ports import Clock, Identifiers, Store, UnitOfWork

MARK = "olk"
PAGE = 500
MOST_GALLERIES = 100
MOST_PER_MINUTE = 10_000_000
MOST_AT_A_TIME = 10_000


@dataclass(frozen=True, slots=True)
class MakeKey:
    """Makes a key. Raises InvalidField, UnknownGallery. Writes its row, which holds only a digest of the secret."""

    store: Store
    clock: Clock
    identifiers: Identifiers

    def __call__(
        self,
        name: str,
        scopes: Sequence[str],
        expires_at: datetime | None = None,
        *,
        galleries: Sequence[str] | None = None,
        rate_per_minute: int | None = None,
        concurrency: int | None = None,
        before_commit: Callable[[str], None] = lambda text: None,
    ) -> tuple[Key, str]:
        """The key as stored, and `olk_<id>_<secret>`, which is known only now and to `before_commit`.

        galleries: the 1..100 that the key is bound to, None: not bound. rate_per_minute: 1..10,000,000 requests;
        concurrency: 1..10,000 of them at a time; None: what the settings say.
        """
        now = self.clock.now()
        secret = self.identifiers.secret()
        key = Key(
            id=self.identifiers.new(MARK).removeprefix(f"{MARK}_"),
            name=line("name", name),
            scopes=_scopes(scopes),
            created_at=now,
            digest=digest(secret),
            expires_at=_end(expires_at, now),
            galleries=_galleries(galleries, scopes),
            rate_per_minute=_limit("rate_per_minute", rate_per_minute, MOST_PER_MINUTE),
            concurrency=_limit("concurrency", concurrency, MOST_AT_A_TIME),
        )
        text = f"{MARK}_{key.id}_{secret}"
        with self.store.write() as uow:
            for gallery in sorted(key.galleries or ()):
                if not is_id(gallery) or uow.galleries.get(gallery) is None:
                    raise UnknownGallery(f"There is no gallery {gallery[:60]!r} that the key could be bound to.")
            uow.keys.add(key)
            uow.audit.append(entries.of_key("key.made", key, now))
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
                uow.audit.append(entries.of_key("key.revoked", key, now))
            revoked = uow.keys.get(key_id)
            uow.commit()
        if revoked is None:
            raise UnknownKey
        return revoked


def digest(secret: str) -> bytes:
    """What is stored of a secret. It has 256 random bits, so that a fast hash keeps it."""
    return hashlib.sha256(secret.encode()).digest()


def _scopes(names: Sequence[str]) -> frozenset[str]:
    if unknown := sorted(set(names) - set(SCOPES)):
        raise InvalidField("scopes", f"There is no scope {unknown[0]!r}; there are: {', '.join(SCOPES)}.")
    if not names:
        raise InvalidField("scopes", "At least one scope is needed.")
    return frozenset(names)


def _end(expires_at: datetime | None, now: datetime) -> datetime | None:
    expires_at = in_utc("expires_at", expires_at)
    if expires_at is not None and expires_at <= now:
        raise InvalidField("expires_at", "It must lie in the future.")
    return expires_at


def _galleries(ids: Sequence[str] | None, scopes: Sequence[str]) -> frozenset[str] | None:
    if ids is None:
        return None
    if not 1 <= len(set(ids)) <= MOST_GALLERIES:
        raise InvalidField(
            "galleries", f"1 to {MOST_GALLERIES} galleries are allowed; a key that is not bound has none."
        )
    if EVERYBODY in ids:
        raise InvalidField("galleries", f"A key that may see `{EVERYBODY}` is not bound: leave the field out.")
    if "admin" in scopes:
        # It could make itself a key that is not bound.
        raise InvalidField("galleries", "A key with the scope `admin` cannot be bound.")
    return frozenset(ids)


def _limit(field: str, value: int | None, most: int) -> int | None:
    if value is not None and not 1 <= value <= most:
        raise InvalidField(field, f"It must be a whole number from 1 to {most}.")
    return value


def _is_admin(key: Key, now: datetime) -> bool:
    return "admin" in key.scopes and key.revoked_at is None and (key.expires_at is None or key.expires_at > now)


def _all(uow: UnitOfWork) -> Iterator[Key]:
    after: str | None = None
    while page := uow.keys.page(after=after, limit=PAGE):
        yield from page
        after = page[-1].id
