"""Requests that may be sent again, in memory: part of the published fake of the store."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from app.domain.idempotency import Remembered
from app.store.memory.rows import Transaction


class MemoryIdempotency:
    """Fits `ports.Idempotency`."""

    def __init__(self, uow: Transaction) -> None:
        self._uow = uow

    def get(self, record_id: str) -> Remembered | None:
        """The record, whether it still counts or not, or None."""
        held = self._uow.rows().remembered.get(record_id)
        return None if held is None else held[0]

    def start(self, record: Remembered) -> None:
        """Writes it in place of any that has its id."""
        self._uow.rows_to_change().remembered[record.id] = (record, frozenset())

    def finish(self, record: Remembered, person_ids: Sequence[str]) -> bool:
        """Keeps the answer in `record`, and whom it tells of; False where another attempt took over."""
        held = self._uow.rows_to_change().remembered
        if record.id not in held or held[record.id][0].token != record.token or held[record.id][0].status is not None:
            return False
        held[record.id] = (replace(record, headers=dict(record.headers)), frozenset(person_ids))
        return True

    def forget(self, record: Remembered) -> None:
        """Deletes it, unless another attempt took over or its answer is kept."""
        held = self._uow.rows_to_change().remembered
        if record.id in held and held[record.id][0].token == record.token and held[record.id][0].status is None:
            del held[record.id]

    def forget_person(self, person_id: str) -> int:
        """Deletes every record whose answer tells of that person; how many."""
        held = self._uow.rows_to_change().remembered
        told = [id_ for id_, (_, persons) in held.items() if person_id in persons]
        for id_ in told:
            del held[id_]
        return len(told)

    def count_person(self, person_id: str) -> int:
        """How many records tell of that person."""
        return sum(person_id in persons for _, persons in self._uow.rows().remembered.values())

    def sweep(self, now: datetime) -> int:
        """Deletes what has expired; how many."""
        held = self._uow.rows_to_change().remembered
        expired = [id_ for id_, (record, _) in held.items() if record.expires_at <= now]
        for id_ in expired:
            del held[id_]
        return len(expired)
