"""What is sealed in the database, looked at by its keys: for a rotation, and for what a start puts in order."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, exists, select, update

from app.errors import SealBroken
from app.store.rows.changes import SqlChanges
from app.store.rows.template_parts import PARTS, SqlTemplateParts, belonging
from app.store.tables import CHANGES, ERASED_IDS, TEMPLATE_PARTS, TEMPLATES, listed
from app.store.tables_of_work import AUDIT, METADATA
from app.store.vault.person_key import KEY_PREFIX
from app.store.vault.ring import MasterRing
from app.store.vault.sealing import template_belonging, unseal
from app.store.vault.unit_keys import UnitKeys

_ROWS = select(
    TEMPLATES.c.id, TEMPLATES.c.person_id, TEMPLATES.c.model_id, TEMPLATES.c.key_id, TEMPLATES.c.sealed
).order_by(TEMPLATES.c.id)
_UNDER = _ROWS.where(TEMPLATES.c.key_id.in_(listed("key_ids")))
_UNDER_MASTERS = _UNDER.where(TEMPLATES.c.id > bindparam("after")).limit(bindparam("most"))
_RESEAL = (
    update(TEMPLATES)
    .where(TEMPLATES.c.id == bindparam("which"), TEMPLATES.c.key_id == bindparam("old_key"))
    .values(key_id=bindparam("new_key"), sealed=bindparam("new_sealed"))
)
_PARTS_UNDER = PARTS.where(TEMPLATE_PARTS.c.key_id.in_(listed("key_ids")))
_RESEAL_PART = (
    update(TEMPLATE_PARTS)
    .where(
        TEMPLATE_PARTS.c.template_id == bindparam("which"),
        TEMPLATE_PARTS.c.part == bindparam("what"),
        TEMPLATE_PARTS.c.key_id == bindparam("old_key"),
    )
    .values(key_id=bindparam("new_key"), sealed=bindparam("new_sealed"))
)
_NAMED = [
    select(table.c.key_id).distinct().where(table.c.key_id.in_(listed("key_ids")))
    for table in METADATA.sorted_tables
    if "key_id" in table.c
]
_ERASED = (
    select(ERASED_IDS.c.person_id)
    .where(ERASED_IDS.c.person_id > bindparam("after"))
    .order_by(ERASED_IDS.c.person_id)
    .limit(bindparam("most"))
)
_REMOVED = (
    select(CHANGES.c.seq, CHANGES.c.subject_id)
    .where(CHANGES.c.kind == "template", CHANGES.c.op == "remove", CHANGES.c.seq > bindparam("after"))
    .order_by(CHANGES.c.seq)
    .limit(bindparam("most"))
)
_ANY_TEMPLATE, _ANY_LINE = select(exists().select_from(TEMPLATES)), select(exists().select_from(AUDIT))
_ANY_UNDER_PERSON_KEY = select(exists().where(TEMPLATES.c.key_id.startswith(KEY_PREFIX, autoescape=True)))
_ANY_UNDER = select(exists().where(TEMPLATES.c.key_id.in_(listed("key_ids"))))


class SealedRows:
    """Rows by the keys that they name. Read-only."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def any(self) -> bool:
        """Whether anything sealed is stored."""
        return any(self._connection.execute(query).scalar() for query in (_ANY_TEMPLATE, _ANY_LINE))

    def need_vault(self) -> bool:
        """Whether anything is stored that only a vault opens; the first version had none."""
        return any(self._connection.execute(query).scalar() for query in (_ANY_LINE, _ANY_UNDER_PERSON_KEY))

    def any_under(self, key_ids: Sequence[str]) -> bool:
        """Whether a template names one of these keys."""
        return bool(self._connection.execute(_ANY_UNDER, {"key_ids": _json(key_ids)}).scalar())

    def named(self, key_ids: Sequence[str]) -> set[str]:
        """Those of these keys that a row of any table names."""
        which = {"key_ids": _json(key_ids)}
        return {key_id for query in _NAMED for key_id in self._connection.execute(query, which).scalars()}

    def erased(self, *, after: str, limit: int) -> list[str]:
        """Ids of erased persons in order, those behind `after`."""
        return list(self._connection.execute(_ERASED, {"after": after, "most": limit}).scalars())

    def removed(self, *, after: int, limit: int) -> list[tuple[int, str]]:
        """(seq, template id) of removals in the feed in order, those behind the seq `after`."""
        return [(row[0], row[1]) for row in self._connection.execute(_REMOVED, {"after": after, "most": limit})]


class Resealing:
    """Seals templates and their parts anew, in the transaction of one unit of work. What is in them stays as it is."""

    def __init__(self, connection: Connection, changes: SqlChanges, keys: UnitKeys) -> None:
        self._connection = connection
        self._changes = changes
        self._keys = keys

    def reseal(self, key_ids: Sequence[str]) -> int:
        """Seals the templates under these keys with the keys that their persons now have; how many.

        A row that cannot be opened is left as it is.
        """
        self._reseal_parts(key_ids)
        rows = self._connection.execute(_UNDER, {"key_ids": _json(key_ids)}).all()
        wanted = [(row.key_id, row.sealed, template_belonging(row.id, row.person_id, row.model_id)) for row in rows]
        opened = zip(rows, wanted, self._keys.open_many(wanted), strict=True)
        return self._write([(row, one, plain) for row, (*_, one), plain in opened if not isinstance(plain, SealBroken)])

    def leave_masters(self, ring: MasterRing, *, after: str, limit: int) -> str | None:
        """Seals templates that a master key itself sealed, as the first version did, with keys of their persons.

        At most `limit`, in order of id, behind `after`; the last id that was looked at, or None when none was left. A
        row that cannot be opened is left as it is.
        """
        which = {"key_ids": _json(ring.ids), "after": after, "most": limit}
        rows = self._connection.execute(_UNDER_MASTERS, which).all()
        opened = []
        for row in rows:
            belonging = template_belonging(row.id, row.person_id, row.model_id)
            try:
                plain = unseal(ring.cipher(row.key_id), row.sealed, belonging)
            except SealBroken:  # the index tells of it, as of every row that it cannot read
                continue
            opened.append((row, belonging, plain))
        self._write(opened)
        # What was sealed so would open with the master key for ever: it leaves the files, too.
        self._changes.removed = True
        return rows[-1].id if rows else None

    def _reseal_parts(self, key_ids: Sequence[str]) -> None:
        rows = self._connection.execute(_PARTS_UNDER, {"key_ids": _json(key_ids)}).all()
        opened = [
            (row, plain)
            for row, plain in zip(rows, SqlTemplateParts(self._connection, self._keys).opened(rows), strict=True)
            if not isinstance(plain, SealBroken)
        ]
        if opened:
            wanted = [(r.person_id, plain, belonging(r.template_id, r.person_id, r.part)) for r, plain in opened]
            sealed = self._keys.seal_many(wanted)
            names = ("which", "what", "old_key", "new_key", "new_sealed")
            values = [
                (row.template_id, row.part, row.key_id, *new) for (row, _), new in zip(opened, sealed, strict=True)
            ]
            self._connection.execute(_RESEAL_PART, [dict(zip(names, one, strict=True)) for one in values])

    def _write(self, opened: Sequence[tuple[Any, bytes, bytes]]) -> int:
        """Seals (row, belonging, plain) anew; how many."""
        if opened:
            sealed = self._keys.seal_many([(row.person_id, plain, belonging) for row, belonging, plain in opened])
            names = ("which", "old_key", "new_key", "new_sealed")
            rows = [(row.id, row.key_id, *new) for (row, _, _), new in zip(opened, sealed, strict=True)]
            self._connection.execute(_RESEAL, [dict(zip(names, row, strict=True)) for row in rows])
        return len(opened)


def _json(texts: Sequence[str]) -> str:
    return json.dumps(list(texts))
