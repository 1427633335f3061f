"""A key as sent -> the key as stored, if it is good now."""

import hmac
from dataclasses import dataclass

from app.actions.keys import MARK, digest
from app.domain.key import Key
from app.domain.particulars import is_id
from app.errors import BadKey, ExpiredKey, NoKey, OutOfScope, RevokedKey
from app.ports import Clock, Store

_NOBODY = bytes(32)
LONGEST = 256


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Looks a key up in the rows at each call, so that a revocation counts at once. Read-only."""

    store: Store
    clock: Clock

    def __call__(self, token: str | None) -> Key:
        """The key behind `olk_<id>_<secret>`. Raises NoKey, BadKey (RevokedKey), ExpiredKey."""
        if not token:
            raise NoKey
        key_id, secret = _parts(token)
        with self.store.read() as uow:
            key = uow.keys.get(key_id)
        # Compared also when there is no such key, and in constant time: the time taken tells nothing.
        same = hmac.compare_digest(digest(secret), _NOBODY if key is None else key.digest)
        if key is None or not same:
            raise BadKey
        if key.revoked_at is not None:
            raise RevokedKey
        if key.expires_at is not None and key.expires_at <= self.clock.now():
            raise ExpiredKey
        return key


def demand(key: Key, scope: str) -> None:
    """Raises OutOfScope unless the key holds that scope."""
    if not key.holds(scope):
        raise OutOfScope(scope)


def _parts(token: str) -> tuple[str, str]:
    mark, _, rest = token.partition("_")
    key_id, _, secret = rest.partition("_")
    if mark != MARK or len(token) > LONGEST or not token.isascii() or not is_id(key_id) or not secret:
        raise BadKey
    return key_id, secret
