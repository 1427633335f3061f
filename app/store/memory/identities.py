"""Merges and splits in memory: part of the published fake of the store."""

from dataclasses import replace
from datetime import datetime

from app.domain.identity import IdentityChange
from app.errors import UnknownIdentityChange
from app.store.memory.rows import Transaction
from app.store.rows.identity_changes import as_bytes, from_bytes


class MemoryIdentityChanges:
    """Fits `ports.IdentityChanges`."""

    def __init__(self, uow: Transaction) -> None:
        self._uow = uow

    def add(self, change: IdentityChange) -> None:
        """Inserts."""
        # Through JSON, as in SQL: what cannot be stored there is refused here too.
        self._uow.rows_to_change().identities[change.id] = replace(change, before=from_bytes(as_bytes(change.before)))

    def get(self, change_id: str) -> IdentityChange | None:
        """The change, or None."""
        return self._uow.rows().identities.get(change_id)

    def of(self, person_id: str) -> list[IdentityChange]:
        """Those that the person had a part in, oldest first."""
        theirs = (c for c in self._uow.rows().identities.values() if person_id in (c.person_id, c.other_id))
        return sorted(theirs, key=lambda change: (change.made_at, change.id))

    def mark_undone(self, change_id: str, at: datetime) -> None:
        """Notes when it was undone. Raises UnknownIdentityChange where there is none that could be."""
        identities = self._uow.rows_to_change().identities
        change = identities.get(change_id)
        if change is None or change.undone_at is not None:
            raise UnknownIdentityChange
        identities[change_id] = replace(change, undone_at=at)

    def went_to(self, person_id: str) -> str | None:
        """Who has what was this person's; None for somebody who is there, or never was."""
        changes = self._uow.rows().identities.values()
        return next((c.other_id for c in changes if c.person_id == person_id and c.in_other), None)

    def absorbed(self, person_id: str) -> tuple[str, ...]:
        """Whose templates went to that person, directly or over others."""
        return _absorbed(self._uow.rows().identities, person_id)


def forget_changes(identities: dict[str, IdentityChange], person_id: str) -> tuple[str, ...]:
    """Deletes every change that tells of that person, or of somebody absorbed; who those were."""
    absorbed = _absorbed(identities, person_id)
    told_of = {person_id, *absorbed}
    for id_ in [id_ for id_, c in identities.items() if told_of & {c.person_id, c.other_id}]:
        del identities[id_]
    return absorbed


def _absorbed(identities: dict[str, IdentityChange], person_id: str) -> tuple[str, ...]:
    pairs = [(c.other_id, c.person_id) for c in identities.values() if c.in_other]
    found: dict[str, None] = {}
    latest = [person_id]
    while latest:
        latest = [one for other, one in pairs if other in latest and one not in found]
        found.update(dict.fromkeys(latest))
    return tuple(found)
