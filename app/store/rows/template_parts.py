"""What is kept beside templates in SQL: crops, and embeddings by other models; sealed as their templates are."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from app.errors import SealBroken
from app.store.tables import TEMPLATE_PARTS, TEMPLATES, listed
from app.store.vault.sealing import crop_belonging, template_belonging
from app.store.vault.unit_keys import UnitKeys

CROP = "crop"

PARTS = select(
    TEMPLATE_PARTS.c.template_id,
    TEMPLATES.c.person_id,
    TEMPLATE_PARTS.c.part,
    TEMPLATE_PARTS.c.key_id,
    TEMPLATE_PARTS.c.sealed,
).join_from(TEMPLATE_PARTS, TEMPLATES)
_OF_TEMPLATES = PARTS.where(TEMPLATE_PARTS.c.template_id.in_(listed("template_ids")))
_OWNERS = select(TEMPLATES.c.id, TEMPLATES.c.person_id).where(TEMPLATES.c.id.in_(listed("template_ids")))
_INSERT = insert(TEMPLATE_PARTS)
_RESEAL = (
    update(TEMPLATE_PARTS)
    .where(TEMPLATE_PARTS.c.template_id == bindparam("which"), TEMPLATE_PARTS.c.part == bindparam("what"))
    .values(key_id=bindparam("new_key"), sealed=bindparam("new_sealed"))
)
DELETE = delete(TEMPLATE_PARTS)


class SqlTemplateParts:
    """Seals, opens and moves parts; one unit of work's own."""

    def __init__(self, connection: Connection, keys: UnitKeys) -> None:
        self._connection = connection
        self._keys = keys

    def owners(self, template_ids: Sequence[str]) -> dict[str, str]:
        """Template id -> person id, of those templates that have a row."""
        rows = self._connection.execute(_OWNERS, {"template_ids": json.dumps(list(template_ids))})
        return {row.id: row.person_id for row in rows.all()}

    def add(self, part: str, plain: dict[str, bytes], owners: dict[str, str]) -> None:
        """Inserts that part of templates that have none: id -> bytes, and id -> their persons."""
        wanted = [(owners[id_], content, belonging(id_, owners[id_], part)) for id_, content in plain.items()]
        if wanted:
            sealed = zip(plain, self._keys.seal_many(wanted), strict=True)
            rows = [{"template_id": id_, "part": part, "key_id": key, "sealed": s} for id_, (key, s) in sealed]
            self._connection.execute(_INSERT, rows)

    def opened(self, rows: Sequence[Any]) -> list[bytes | SealBroken]:
        """What was sealed in rows of PARTS, or why it cannot be opened; one query."""
        return self._keys.open_many([(r.key_id, r.sealed, belonging(r.template_id, r.person_id, r.part)) for r in rows])

    def move(self, template_ids: Sequence[str], to_person_id: str) -> None:
        """Seals the parts of these templates for that person, before the templates' own rows say whose they are.

        Raises SealBroken when one cannot be opened.
        """
        rows = self._connection.execute(_OF_TEMPLATES, {"template_ids": json.dumps(list(template_ids))}).all()
        wanted = []
        for row, plain in zip(rows, self.opened(rows), strict=True):
            if isinstance(plain, SealBroken):
                raise plain
            wanted.append((to_person_id, plain, belonging(row.template_id, to_person_id, row.part)))
        if wanted:
            sealed = zip(rows, self._keys.seal_many(wanted), strict=True)
            values = [
                {"which": row.template_id, "what": row.part, "new_key": key, "new_sealed": new}
                for row, (key, new) in sealed
            ]
            self._connection.execute(_RESEAL, values)


def belonging(template_id: str, person_id: str, part: str) -> bytes:
    """What a part is bound to. An embedding is sealed as the template that it may become."""
    if part == CROP:
        return crop_belonging(template_id, person_id)
    return template_belonging(template_id, person_id, part)
