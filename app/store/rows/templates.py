"""Templates in SQL: sealed when written, opened when read."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from sqlalchemy import Connection, bindparam, delete, exists, func, insert, select, update

from app.domain.face import Quality, Vector
from app.domain.person import Template
from app.errors import KeyGone, SealBroken, UnknownPerson, UnknownTemplate
from app.store.pgvector.clear import ClearVectors
from app.store.rows.changes import SqlChanges
from app.store.rows.template_parts import SqlTemplateParts
from app.store.tables import PERSONS, TEMPLATES, listed
from app.store.vault.sealing import template_belonging
from app.store.vault.unit_keys import UnitKeys

# Rows that `of_model` holds at a time.
PIECE = 1000

_ROWS = select(
    TEMPLATES.c.id,
    TEMPLATES.c.person_id,
    TEMPLATES.c.model_id,
    TEMPLATES.c.quality,
    TEMPLATES.c.created_at,
    TEMPLATES.c.key_id,
    TEMPLATES.c.sealed,
)
_OF = _ROWS.where(TEMPLATES.c.person_id == bindparam("person_id")).order_by(TEMPLATES.c.created_at, TEMPLATES.c.id)
_WITH_IDS = _ROWS.where(TEMPLATES.c.id.in_(listed("template_ids")))
_OF_MODEL = (
    _ROWS.where(TEMPLATES.c.model_id == bindparam("model_id"), TEMPLATES.c.id > bindparam("after"))
    .order_by(TEMPLATES.c.id)
    .limit(PIECE)
)
_OWNERS_OF_MODEL = (
    select(TEMPLATES.c.id, TEMPLATES.c.person_id)
    .where(TEMPLATES.c.model_id == bindparam("model_id"), TEMPLATES.c.id > bindparam("after"))
    .order_by(TEMPLATES.c.id)
    .limit(10 * PIECE)
)
_COUNT = select(func.count()).select_from(TEMPLATES)
_MODELS = select(TEMPLATES.c.model_id).distinct()
_HAS_PERSON = select(exists().where(PERSONS.c.id == bindparam("person_id")))
_INSERT = insert(TEMPLATES)
_DELETE = delete(TEMPLATES).where(
    TEMPLATES.c.id == bindparam("template_id"), TEMPLATES.c.person_id == bindparam("owner_id")
)
_MOVE = (
    update(TEMPLATES)
    .where(TEMPLATES.c.id == bindparam("template_id"))
    .values(person_id=bindparam("owner_id"), key_id=bindparam("new_key"), sealed=bindparam("new_sealed"))
)


class SqlTemplates:
    """Fits `ports.Templates`. Reading raises SealBroken when a template cannot be opened.

    Where a caller gives `unreadable`, such rows are left out instead, and their ids go there. A vector is little-endian
    float32 before it is sealed: 12 + 4 n + 16 bytes.
    """

    def __init__(self, connection: Connection, changes: SqlChanges, keys: UnitKeys) -> None:
        self._connection = connection
        self._changes = changes
        self._keys = keys
        self._clear = ClearVectors(connection)

    def add(self, template: Template) -> None:
        """Inserts, and writes a change `template add`. Raises UnknownPerson when its person has no row."""
        if not self._connection.execute(_HAS_PERSON, {"person_id": template.person_id}).scalar():
            raise UnknownPerson
        key_id, sealed = self._sealed(template)
        values = {
            "id": template.id,
            "person_id": template.person_id,
            "model_id": template.model_id,
            "quality": asdict(template.quality),
            "created_at": template.created_at,
            "key_id": key_id,
            "sealed": sealed,
        }
        self._connection.execute(_INSERT, values)
        self._clear.add([template])
        self._changes.note("template", [template.id], "add")

    def of(self, person_id: str) -> list[Template]:
        """The person's templates, oldest first."""
        return list(self._readable(self._connection.execute(_OF, {"person_id": person_id}).all(), None))

    def with_ids(
        self, template_ids: Sequence[str], *, unreadable: Callable[[str], object] | None = None
    ) -> list[Template]:
        """Those of these templates that still have a row; one query."""
        rows = self._connection.execute(_WITH_IDS, {"template_ids": json.dumps(list(template_ids))})
        return list(self._readable(rows.all(), unreadable))

    def of_model(self, model_id: str, *, unreadable: Callable[[str], object] | None = None) -> Iterator[Template]:
        """Every template of that model in order of id, read in pieces, each as committed when it is read."""
        after = ""
        while rows := self._connection.execute(_OF_MODEL, {"model_id": model_id, "after": after}).all():
            yield from self._readable(rows, unreadable)
            after = rows[-1].id

    def owners_of_model(self, model_id: str) -> Iterator[tuple[str, str]]:
        """(template id, person id) of every template of that model in order of id, read in pieces; opens none."""
        after = ""
        while rows := self._connection.execute(_OWNERS_OF_MODEL, {"model_id": model_id, "after": after}).all():
            yield from ((row[0], row[1]) for row in rows)
            after = rows[-1].id

    def remove(self, person_id: str, template_id: str) -> bool:
        """Deletes for good, also for a restore, and writes a change `template remove`; False when there is no row."""
        if self._connection.execute(_DELETE, {"template_id": template_id, "owner_id": person_id}).rowcount == 0:
            return False
        self._changes.note("template", [template_id], "remove")
        self._keys.remove([template_id])
        return True

    def move(self, template_ids: Sequence[str], to_person_id: str) -> None:
        """Gives them to that person, sealed with that person's key, and writes a change `template update` for each.

        Raises UnknownTemplate, UnknownPerson, and SealBroken when one cannot be opened.
        """
        if not self._connection.execute(_HAS_PERSON, {"person_id": to_person_id}).scalar():
            raise UnknownPerson
        templates = {t.id: t for t in self.with_ids(template_ids)}
        if not templates.keys() >= set(template_ids):
            raise UnknownTemplate
        SqlTemplateParts(self._connection, self._keys).move(template_ids, to_person_id)
        for template_id in template_ids:
            key_id, sealed = self._sealed(replace(templates[template_id], person_id=to_person_id))
            new = {"owner_id": to_person_id, "new_key": key_id, "new_sealed": sealed}
            self._connection.execute(_MOVE, {"template_id": template_id, **new})
        self._clear.move(template_ids, to_person_id)
        self._changes.note("template", template_ids, "update")

    def count(self) -> int:
        """Number of templates of all models."""
        return self._connection.execute(_COUNT).scalar_one()

    def models(self) -> frozenset[str]:
        """The model ids that templates were made by."""
        return frozenset(self._connection.execute(_MODELS).scalars())

    def _sealed(self, template: Template) -> tuple[str, bytes]:
        plain = np.ascontiguousarray(template.vector, "<f4").tobytes()
        belonging = template_belonging(template.id, template.person_id, template.model_id)
        return self._keys.seal(template.person_id, plain, belonging)

    def _readable(self, rows: Sequence[Any], unreadable: Callable[[str], object] | None) -> Iterator[Template]:
        for row, plain in self._opened(rows):
            try:
                template = _template(row, plain)
            except SealBroken:
                if unreadable is None:
                    raise
                unreadable(row.id)
            else:
                yield template

    def _opened(self, rows: Sequence[Any]) -> Iterator[tuple[Any, bytes | SealBroken]]:
        """Each row with what was sealed in it; rows that were deleted since they were read may be left out."""
        found = self._keys.open_many([_wanted(row) for row in rows])
        gone = [row.id for row, plain in zip(rows, found, strict=True) if isinstance(plain, KeyGone)]
        if not gone:
            return zip(rows, found, strict=True)
        # A rotation may have sealed them anew since they were read; the row of somebody erased is not there any more.
        again = self._connection.execute(_WITH_IDS, {"template_ids": json.dumps(gone)}).all()
        anew = dict(zip((row.id for row in again), again, strict=True))
        opened = dict(zip(anew, self._keys.open_many([_wanted(row) for row in again]), strict=True))
        pairs = zip(rows, found, strict=True)
        return (
            (anew.get(row.id, row), opened.get(row.id, plain))
            for row, plain in pairs
            if row.id in anew or not isinstance(plain, KeyGone)
        )


def _wanted(row: Any) -> tuple[str, bytes, bytes]:
    return row.key_id, row.sealed, template_belonging(row.id, row.person_id, row.model_id)


def _template(row: Any, plain: bytes | SealBroken) -> Template:
    id_, person_id, model_id, quality, created_at, _, _ = row
    if isinstance(plain, SealBroken):
        raise type(plain)(f"The stored template {id_}: {plain.detail}") from plain
    try:
        read = Quality(**{**quality, "reasons": tuple(quality["reasons"])})
    except (KeyError, TypeError) as e:
        raise SealBroken(f"The quality of the template {id_} was altered. Restore it from a backup.") from e
    vector: Vector = np.frombuffer(plain, "<f4").astype(np.float32, copy=False)
    return Template(id_, person_id, model_id, read, created_at, vector)
