"""The vault's personal keys in memory: part of the published fake of the store."""

import hashlib
import threading
from collections.abc import Sequence

from app.errors import KeyGone, SealBroken
from app.store.vault.person_key import PersonKey


class MemoryVault:
    """Fits `scribe.PersonalKeys`: a key for each person and purpose, gone when it is shredded. Thread-safe."""

    def __init__(self, secret: bytes = bytes(range(32))) -> None:
        self._secret = secret
        self._lock = threading.Lock()
        self._keys: dict[tuple[str, str], PersonKey] = {}
        self._shredded: set[str] = set()

    def key(self, person_id: str, purpose: str) -> PersonKey:
        """The person's key for that purpose, made if need be. Raises KeyGone."""
        with self._lock:
            if person_id in self._shredded:
                raise KeyGone
            return self._keys.setdefault((person_id, purpose), PersonKey.fresh(person_id, purpose))

    def known(self, person_id: str, purpose: str) -> PersonKey | None:
        """The same, or None where there is none, or none any more."""
        return self._keys.get((person_id, purpose))

    def shredded(self, person_ids: Sequence[str]) -> set[str]:
        """Those of these persons whose keys were shredded."""
        return self._shredded.intersection(person_ids)

    def open_many(self, wanted: Sequence[tuple[str, bytes, bytes]]) -> list[bytes | SealBroken]:
        """For each (key id, sealed, belonging) what was sealed, or why it cannot be opened."""
        keys = {key.key_id: key for key in self._keys.values()}
        return [_opened(keys.get(key_id), sealed, belonging) for key_id, sealed, belonging in wanted]

    def secret(self, name: str) -> bytes:
        """32 bytes of the service's own."""
        return hashlib.sha256(self._secret + name.encode()).digest()

    def count(self, person_id: str) -> int:
        """How many keys the person has."""
        return sum(who == person_id for who, _ in self._keys)

    def shred(self, *person_ids: str) -> None:
        """Destroys the keys of these persons for good."""
        with self._lock:
            self._shredded.update(person_ids)
            self._keys = {who: key for who, key in self._keys.items() if who[0] not in self._shredded}


def _opened(key: PersonKey | None, sealed: bytes, belonging: bytes) -> bytes | SealBroken:
    if key is None:
        return KeyGone()
    try:
        return key.open(sealed, belonging)
    except SealBroken as e:
        return e
