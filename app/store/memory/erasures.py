"""Receipts of erasures in memory."""

from dataclasses import replace

from app.domain.person import Receipt
from app.errors import UnknownErasure
from app.store.memory.rows import Transaction


class MemoryErasures:
    """Fits `ports.Erasures`."""

    def __init__(self, uow: Transaction) -> None:
        self._uow = uow

    def add(self, receipt: Receipt) -> None:
        erasures = self._uow.rows_to_change().erasures
        if receipt.id in erasures or any(receipt.person_id == r.person_id for r in erasures.values()):
            raise RuntimeError(f"there is a receipt {receipt.id}, or one for its person, already")
        erasures[receipt.id] = replace(receipt, removed=dict(receipt.removed))

    def get(self, erasure_or_person_id: str) -> Receipt | None:
        for receipt in self._uow.rows().erasures.values():
            if erasure_or_person_id in (receipt.id, receipt.person_id):
                return replace(receipt, removed=dict(receipt.removed))
        return None

    def prove(self, erasure_id: str, *, search_missed: bool | None, index_seq: int, snapshots: int) -> None:
        erasures = self._uow.rows_to_change().erasures
        if erasure_id not in erasures:
            raise UnknownErasure
        receipt = erasures[erasure_id]
        removed = {**receipt.removed, "snapshots": snapshots}
        erasures[erasure_id] = replace(receipt, removed=removed, search_missed=search_missed, index_seq=index_seq)
