"""The key of one person, in memory."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.store.vault import sealing
from app.store.vault.rows import WrappedKey

_WRAPPED = b"onelook person key v1"
_PSEUDONYM = b"onelook pseudonym v1\0"
PSEUDONYM_CHARACTERS = 32
# The ids of master keys have none: the first version sealed with those.
KEY_PREFIX = "pk_"


@dataclass(frozen=True, slots=True)
class PersonKey:
    """32 random bytes that only this person's rows are sealed with; not to be held longer than one call."""

    key_id: str
    person_id: str
    purpose: str
    secret: bytes = field(repr=False)

    @classmethod
    def fresh(cls, person_id: str, purpose: str) -> "PersonKey":
        """A new one; it counts once it is in the vault."""
        return cls(f"{KEY_PREFIX}{secrets.token_hex(12)}", person_id, purpose, secrets.token_bytes(sealing.KEY_BYTES))

    @classmethod
    def unwrapped(cls, wrapped: WrappedKey, master: AESGCM) -> "PersonKey":
        """The key that was wrapped. Raises SealBroken."""
        bound = _bound_to(wrapped.key_id, wrapped.person_id, wrapped.purpose)
        return cls(wrapped.key_id, wrapped.person_id, wrapped.purpose, sealing.unseal(master, wrapped.wrapped, bound))

    def wrapped(self, master_id: str, master: AESGCM) -> WrappedKey:
        """As it is stored: it opens as this key of this person for this purpose only."""
        sealed = sealing.seal(master, self.secret, _bound_to(self.key_id, self.person_id, self.purpose))
        return WrappedKey(self.key_id, self.person_id, self.purpose, sealed, master_id)

    def seal(self, plain: bytes, belonging: bytes) -> bytes:
        """Sealed under this key."""
        return sealing.seal(AESGCM(self.secret), plain, belonging)

    def open(self, sealed: bytes, belonging: bytes) -> bytes:
        """What was sealed. Raises SealBroken."""
        return sealing.unseal(AESGCM(self.secret), sealed, belonging)

    def pseudonym(self) -> str:
        """A name for the person that nobody can link to the id without this key; always the same with it."""
        told = _PSEUDONYM + self.person_id.encode()
        return hmac.digest(self.secret, told, hashlib.sha256).hex()[:PSEUDONYM_CHARACTERS]


def _bound_to(key_id: str, person_id: str, purpose: str) -> bytes:
    return sealing.belonging_of(_WRAPPED, key_id, person_id, purpose)
