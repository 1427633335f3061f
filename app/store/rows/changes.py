"""The change feed in SQL."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, func, insert, select

from app.domain.person import Change
from app.store.tables import CHANGES

_HEAD = select(func.max(CHANGES.c.seq))
_SINCE = (
    select(CHANGES.c.seq, CHANGES.c.kind, CHANGES.c.subject_id, CHANGES.c.op)
    .where(CHANGES.c.seq > bindparam("after"))
    .order_by(CHANGES.c.seq)
    .limit(bindparam("most"))
)
_INSERT = insert(CHANGES)


class SqlChanges:
    """Fits `ports.Changes`, and takes the changes that the other repositories note in the same transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        #: Whether something was deleted that must leave the files too.
        self.removed = False

    def head(self) -> int:
        """The highest seq, 0 before the first."""
        return self._connection.execute(_HEAD).scalar() or 0

    def epoch(self) -> int:
        """Which history the seqs belong to, as of the last query: PostgreSQL's timeline, 0 elsewhere."""
        return int(self._connection.info.get("epoch", 0))

    def since(self, seq: int, limit: int) -> list[Change]:
        """Changes after `seq`, in order, at most `limit`."""
        rows = self._connection.execute(_SINCE, {"after": seq, "most": limit})
        return [Change(*row) for row in rows]

    def note(self, kind: str, subject_ids: Sequence[str], op: str) -> None:
        """Writes one change for each id, in their order."""
        if subject_ids:
            self._connection.execute(_INSERT, [{"kind": kind, "subject_id": id_, "op": op} for id_ in subject_ids])
        self.removed = self.removed or op == "remove"
