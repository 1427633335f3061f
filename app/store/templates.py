"""Templates in SQL: sealed when written, opened when read."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, exists, func, insert, select

from app.domain.face import Quality
from app.domain.person import Template
from app.errors import UnknownPerson
from app.store.changes import SqlChanges
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
_MODELS = select(TEMPLATES.c.model_id).distinct()
_HAS_PERSON = select(exists().where(PERSONS.c.id == bindparam("person_id")))
_INSERT = insert(TEMPLATES)
_DELETE = delete(TEMPLATES).where(
    TEMPLATES.c.id == bindparam("template_id"), TEMPLATES.c.person_id == bindparam("owner_id")
)


class SqlTemplates:
    """Fits `ports.Templates`. Reading raises SealBroken when a vector cannot be opened."""

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
        return self._opened(_OF, {"person_id": person_id})

    def with_ids(self, template_ids: Sequence[str]) -> list[Template]:
        """Those of these templates that still have a row; one query."""
        return self._opened(_WITH_IDS, {"template_ids": json.dumps(list(template_ids))})

    def of_model(self, model_id: str) -> Iterator[Template]:
        """Every template of that model in order of id, read in pieces, each as committed when it is read."""
        after = ""
        while piece := self._opened(_OF_MODEL, {"model_id": model_id, "after": after}):
            yield from piece
            after = piece[-1].id

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

    def _opened(self, query: Select[Any], values: dict[str, Any]) -> list[Template]:
        return [self._open(row) for row in self._connection.execute(query, values)]

    def _open(self, row: Sequence[Any]) -> Template:
        id_, person_id, model_id, quality, created_at, key_id, sealed = row
        vector = self._sealer.open(sealed, key_id, id_, person_id, model_id)
        reasons = tuple(quality.pop("reasons"))
        return Template(id_, person_id, model_id, Quality(reasons=reasons, **quality), created_at, vector)
