"""The audit trail in SQL: rows that are only ever added, and let go from the front."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from app.domain.audit import GENESIS, Anchor, AuditFilter, Entry, Line, Link, Record, Unreadable
from app.domain.audit_check import Chain
from app.store.audit.scribe import Scribe
from app.store.rows.changes import SqlChanges
from app.store.tables_of_work import AUDIT, AUDIT_ANCHORS

# In the order of Line's fields, so that a row is the arguments of a Line.
_FIELDS = tuple(AUDIT.c[name] for name in Line.__dataclass_fields__)
_ROWS = select(*_FIELDS)
_LAST = select(AUDIT.c.seq, AUDIT.c.mac).order_by(AUDIT.c.seq.desc()).limit(1)
_ANCHOR = (
    select(AUDIT_ANCHORS.c.seq, AUDIT_ANCHORS.c.at, AUDIT_ANCHORS.c.mac, AUDIT_ANCHORS.c.signature)
    .order_by(AUDIT_ANCHORS.c.seq.desc())
    .limit(1)
)
_AFTER = _ROWS.where(AUDIT.c.seq > bindparam("after")).order_by(AUDIT.c.seq).limit(bindparam("most"))
_SEQS = select(AUDIT.c.seq).where(AUDIT.c.seq > bindparam("after")).order_by(AUDIT.c.seq).limit(bindparam("most"))
_ONE = _ROWS.where(AUDIT.c.seq == bindparam("which"))
_MAC = select(AUDIT.c.mac).where(AUDIT.c.seq == bindparam("which"))
_INSERT = insert(AUDIT)
_INSERT_ANCHOR = insert(AUDIT_ANCHORS)
_LET_GO = delete(AUDIT).where(AUDIT.c.seq <= bindparam("through"))
_LET_GO_ANCHORS = delete(AUDIT_ANCHORS).where(AUDIT_ANCHORS.c.seq < bindparam("through"))
# What a column that holds no value of its type makes SQLAlchemy raise.
_WRONG_TYPES = (SQLAlchemyError, TypeError, ValueError, AttributeError)


class SqlAudit:
    """Fits `ports.Audit`."""

    def __init__(self, connection: Connection, changes: SqlChanges, scribe: Scribe) -> None:
        self._connection = connection
        self._changes = changes
        self._scribe = scribe

    @property
    def chain(self) -> Chain:
        """What chains the rows and signs heads."""
        return self._scribe.chain

    def append(self, *entries: Entry) -> int:
        """Adds the entries, in order; the seq of the last row there is. Writers are serial: no two get one seq."""
        last = self.last()
        lines = list(self._scribe.lines(entries, last))
        if lines:
            self._connection.execute(_INSERT, [_columns(line) for line in lines])
            return lines[-1].seq
        return last.seq

    def last(self) -> Link:
        """The last row, or where the trail begins while it has none."""
        row = self._connection.execute(_LAST).first()
        if row is not None:
            return Link(*row)
        anchor = self.anchor()
        return Link(0, GENESIS) if anchor is None else Link(anchor.seq, anchor.mac)

    def anchor(self) -> Anchor | None:
        """Where the trail begins, or None while no row was let go."""
        row = self._connection.execute(_ANCHOR).first()
        return None if row is None else Anchor(*row)

    def lines(self, after: int, limit: int) -> Sequence[Line | Unreadable]:
        """At most `limit` rows behind the seq `after`, in order, as they were at one moment."""
        which = {"after": after, "most": limit}
        try:
            return [_line(row) for row in self._connection.execute(_AFTER, which).all()]
        except _WRONG_TYPES:
            # Somebody wrote what no type allows: the others must still be read.
            return [self._one(seq) for seq in self._connection.execute(_SEQS, which).scalars().all()]

    def page(self, which: AuditFilter, *, before: int | None, limit: int) -> list[Record]:
        """At most `limit` rows, newest first, those before the seq `before`."""
        subject = None
        if which.person_id is not None:
            subject = self._scribe.subject(which.person_id)
            if subject is None:
                return []
        rows = self._connection.execute(_chosen(which, subject, before).limit(limit))
        return self._scribe.records([Line(*row) for row in rows])

    def let_go(self, anchor: Anchor) -> int:
        """Deletes the rows up to the anchor, which stands for them; how many. RuntimeError where it lies behind."""
        held = self.anchor()
        if held is not None and held.seq >= anchor.seq:
            raise RuntimeError("the trail begins behind that anchor already")
        values = {name: getattr(anchor, name) for name in Anchor.__dataclass_fields__}
        # First: the database lets rows go only behind an anchor.
        self._connection.execute(_INSERT_ANCHOR, values)
        self._connection.execute(_LET_GO_ANCHORS, {"through": anchor.seq})
        gone = self._connection.execute(_LET_GO, {"through": anchor.seq}).rowcount
        self._changes.removed = True
        return gone

    def _one(self, seq: int) -> Line | Unreadable:
        try:
            return _line(self._connection.execute(_ONE, {"which": seq}).one())
        except _WRONG_TYPES:
            mac = self._connection.execute(_MAC, {"which": seq}).scalar_one()
            return Unreadable(seq, mac if isinstance(mac, bytes) else b"")


def _line(row: Sequence[Any]) -> Line:
    line = Line(*row)
    # SQLite holds anything in any column; what the others hold is looked at when the mac is made.
    if not isinstance(line.mac, bytes):
        raise TypeError("a mac is bytes")
    return line


def _chosen(which: AuditFilter, subject: str | None, before: int | None) -> Select[Any]:
    query = _ROWS.order_by(AUDIT.c.seq.desc())
    wanted = {AUDIT.c.actor: which.actor, AUDIT.c.action: which.action, AUDIT.c.subject: subject}
    for column, value in wanted.items():
        if value is not None:
            query = query.where(column == value)
    if which.galleries is not None:
        query = query.where(AUDIT.c.gallery.in_(sorted(which.galleries)))
    if which.since is not None:
        query = query.where(AUDIT.c.at >= which.since)
    if which.until is not None:
        query = query.where(AUDIT.c.at < which.until)
    return query if before is None else query.where(AUDIT.c.seq < before)


def _columns(line: Line) -> Mapping[str, Any]:
    return {name: getattr(line, name) for name in Line.__dataclass_fields__}
