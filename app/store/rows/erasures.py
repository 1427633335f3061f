"""Receipts of erasures in SQL."""

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from app.domain.person import Receipt
from app.errors import UnknownErasure
from app.store.tables import ERASURES

_GET = select(
    ERASURES.c.id,
    ERASURES.c.person_id,
    ERASURES.c.erased_at,
    ERASURES.c.removed,
    ERASURES.c.index_seq,
    ERASURES.c.search_missed,
    ERASURES.c.audit_seq,
).where(or_(ERASURES.c.id == bindparam("either_id"), ERASURES.c.person_id == bindparam("either_id")))
_LATEST = select(ERASURES.c.person_id).order_by(ERASURES.c.id.desc()).limit(bindparam("most"))
_INSERT = insert(ERASURES)
_REMOVED = select(ERASURES.c.removed).where(ERASURES.c.id == bindparam("erasure_id"))
_PROVE = (
    update(ERASURES)
    .where(ERASURES.c.id == bindparam("erasure_id"))
    .values(search_missed=bindparam("missed"), index_seq=bindparam("seq"), removed=bindparam("counts"))
)


class SqlErasures:
    """Fits `ports.Erasures`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, receipt: Receipt) -> None:
        """Inserts."""
        values = {
            "id": receipt.id,
            "person_id": receipt.person_id,
            "erased_at": receipt.erased_at,
            "removed": dict(receipt.removed),
            "index_seq": receipt.index_seq,
            "search_missed": receipt.search_missed,
            "audit_seq": receipt.audit_seq,
        }
        self._connection.execute(_INSERT, values)

    def get(self, erasure_or_person_id: str) -> Receipt | None:
        """By the receipt's own id or by the person's."""
        row = self._connection.execute(_GET, {"either_id": erasure_or_person_id}).first()
        return None if row is None else Receipt(*row)

    def latest(self, limit: int) -> list[str]:
        """The persons of the last `limit` receipts, the last one first."""
        return list(self._connection.execute(_LATEST, {"most": limit}).scalars())

    def prove(self, erasure_id: str, *, search_missed: bool | None, index_seq: int, snapshots: int) -> None:
        """Writes what the proving search found after the commit, and how many snapshots were deleted then.

        Raises UnknownErasure.
        """
        removed = self._connection.execute(_REMOVED, {"erasure_id": erasure_id}).scalar()
        if removed is None:
            raise UnknownErasure
        counts = {**removed, "snapshots": snapshots}
        values = {"erasure_id": erasure_id, "missed": search_missed, "seq": index_seq, "counts": counts}
        self._connection.execute(_PROVE, values)
