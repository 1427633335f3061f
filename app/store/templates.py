"""Templates in SQL: sealed when written, opened when read."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, select

from app.domain.face import Quality
from app.domain.person import Template
from app.errors import SealBroken, UnknownPerson
from app.store.changes import SqlChanges
from app.store.engine import reading_engine
from app.store.sealing import Sealer
from app.store.tables import PERSONS, TEMPLATES, listed

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
_COUNT = select(func.count()).select_from(TEMPLATES)
_ANY = select(exists().select_from(TEMPLATES))
_ANY_BY_KEY = select(exists().where(TEMPLATES.c.key_id == bindparam("key_id")))
_MODELS = select(TEMPLATES.c.model_id).distinct()
_HAS_PERSON = select(exists().where(PERSONS.c.id == bindparam("person_id")))
_INSERT = insert(TEMPLATES)
_DELETE = delete(TEMPLATES).where(
    TEMPLATES.c.id == bindparam("template_id"), TEMPLATES.c.person_id == bindparam("owner_id")
)


class SqlTemplates:
    """Fits `ports.Templates`. Reading raises SealBroken when a template cannot be opened.

    Where a caller gives `unreadable`, such rows are left out instead, and their ids go there.
    """

    def __init__(self, connection: Connection, changes: SqlChanges, sealer: Sealer) -> None:
        self._connection = connection
        self._changes = changes
        self._sealer = sealer

    def add(self, template: Template) -> None:
        """Inserts, and writes a change `template add`. Raises UnknownPerson when its person has no row."""
        if not self._connection.execute(_HAS_PERSON, {"person_id": template.person_id}).scalar():
            raise UnknownPerson
        sealed = self._sealer.seal(template.vector, template.id, template.person_id, template.model_id)
        values = {
            "id": template.id,
            "person_id": template.person_id,
            "model_id": template.model_id,
            "quality": asdict(template.quality),
            "created_at": template.created_at,
            "key_id": self._sealer.key_id,
            "sealed": sealed,
        }
        self._connection.execute(_INSERT, values)
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

    def remove(self, person_id: str, template_id: str) -> bool:
        """Deletes for good, and writes a change `template remove`; False when there is no such row."""
        if self._connection.execute(_DELETE, {"template_id": template_id, "owner_id": person_id}).rowcount == 0:
            return False
        self._changes.note("template", [template_id], "remove")
        return True

    def count(self) -> int:
        """Number of templates of all models."""
        return self._connection.execute(_COUNT).scalar_one()

    def models(self) -> frozenset[str]:
        """The model ids that templates were made by."""
        return frozenset(self._connection.execute(_MODELS).scalars())

    def _readable(self, rows: Sequence[Any], unreadable: Callable[[str], object] | None) -> Iterator[Template]:
        for row in rows:
            try:
                template = self._open(row)
            except SealBroken:
                if unreadable is None:
                    raise
                unreadable(row.id)
            else:
                yield template

    def _open(self, row: Any) -> Template:
        id_, person_id, model_id, quality, created_at, key_id, sealed = row
        vector = self._sealer.open(sealed, key_id, id_, person_id, model_id)
        try:
            read = Quality(**{**quality, "reasons": tuple(quality["reasons"])})
        except (KeyError, TypeError) as e:
            raise SealBroken(f"The quality of the template {id_} was altered. Restore it from a backup.") from e
        return Template(id_, person_id, model_id, read, created_at, vector)


def any_stored(url: str, *, key_id: str | None = None) -> bool:
    """Whether the database, which `migrate` brought up to date, holds a template, or one sealed by that key. Read-only.

    It needs no key.
    """
    engine = reading_engine(url)
    try:
        with engine.connect() as connection:
            query = _ANY if key_id is None else _ANY_BY_KEY
            return bool(connection.execute(query, {"key_id": key_id}).scalar())
    finally:
        engine.dispose()
