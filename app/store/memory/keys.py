"""API keys in memory."""

from dataclasses import replace
from datetime import datetime

from app.domain.key import Key
from app.errors import UnknownKey
from app.store.memory.rows import Transaction


class MemoryKeys:
    """Fits `ports.Keys`."""

    def __init__(self, uow: Transaction) -> None:
        self._uow = uow

    def add(self, key: Key) -> None:
        keys = self._uow.rows_to_change().keys
        if key.id in keys:
            raise RuntimeError(f"there is a key {key.id} already")
        keys[key.id] = key

    def get(self, key_id: str) -> Key | None:
        return self._uow.rows().keys.get(key_id)

    def page(self, *, after: str | None, limit: int) -> list[Key]:
        keys = self._uow.rows().keys
        return [keys[id_] for id_ in sorted(keys) if after is None or id_ > after][:limit]

    def revoke(self, key_id: str, at: datetime) -> None:
        keys = self._uow.rows_to_change().keys
        if key_id not in keys:
            raise UnknownKey
        if keys[key_id].revoked_at is None:
            keys[key_id] = replace(keys[key_id], revoked_at=at)

    def count(self) -> int:
        return len(self._uow.rows().keys)
