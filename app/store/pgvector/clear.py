"""Vectors in clear beside the sealed ones: there only where somebody chose to search in the database.

The table is no part of the schema that migrations make. Whether it is there is asked in each transaction that writes a
template, so that every process keeps it right, also one that searches otherwise. Its rows go with their templates.
"""

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text

from app.domain.face import Vector
from app.domain.person import Template

_IS_THERE = text("SELECT to_regclass('template_vectors') IS NOT NULL")
_ADD = text(
    "INSERT INTO template_vectors (template_id, person_id, model_id, vector)"
    " VALUES (:template_id, :person_id, :model_id, CAST(:vector AS vector))"
    " ON CONFLICT (template_id, model_id) DO NOTHING"
)
_MOVE = text("UPDATE template_vectors SET person_id = :person_id WHERE template_id = :template_id")
_MISSING = text(
    "SELECT t.id FROM templates t WHERE t.model_id = :model_id AND NOT EXISTS"
    " (SELECT FROM template_vectors v WHERE v.template_id = t.id AND v.model_id = t.model_id) ORDER BY t.id LIMIT :most"
)
_FORGET_SUPERSEDED = text(
    "DELETE FROM template_vectors v WHERE NOT EXISTS"
    " (SELECT FROM templates t WHERE t.id = v.template_id AND t.model_id = v.model_id) AND NOT EXISTS"
    " (SELECT FROM template_parts p WHERE p.template_id = v.template_id AND p.part = v.model_id)"
)


class ClearVectors:
    """The rows as one unit of work writes them; where there is no such table nothing is done."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._kept: bool | None = None

    @property
    def kept(self) -> bool:
        """Whether there is such a table. Asked once: it is made and dropped under the write lock alone."""
        if self._kept is None:
            on_server = self._connection.dialect.name == "postgresql"
            self._kept = on_server and bool(self._connection.execute(_IS_THERE).scalar())
        return self._kept

    def add(self, templates: Sequence[Template]) -> None:
        """Inserts a row for each of these templates, which have a row themselves."""
        if templates and self.kept:
            self._connection.execute(_ADD, [_row(t.id, t.person_id, t.model_id, t.vector) for t in templates])

    def add_of(self, model_id: str, owners: Mapping[str, str], vectors: Mapping[str, Vector]) -> None:
        """Inserts vectors by that model of templates that are another's: id -> person id, and id -> vector."""
        if vectors and self.kept:
            self._connection.execute(_ADD, [_row(id_, owners[id_], model_id, one) for id_, one in vectors.items()])

    def missing(self, model_id: str, *, limit: int) -> list[str]:
        """Templates of that model that have no row, at most `limit`."""
        if not self.kept:
            return []
        return list(self._connection.execute(_MISSING, {"model_id": model_id, "most": limit}).scalars())

    def forget_superseded(self) -> int:
        """Deletes the rows of models that their templates are not of any more, nor are to be; how many."""
        return self._connection.execute(_FORGET_SUPERSEDED).rowcount if self.kept else 0

    def move(self, template_ids: Sequence[str], to_person_id: str) -> None:
        """Gives the rows of these templates to that person."""
        if template_ids and self.kept:
            self._connection.execute(_MOVE, [{"template_id": id_, "person_id": to_person_id} for id_ in template_ids])


def _row(template_id: str, person_id: str, model_id: str, vector: Vector) -> dict[str, str]:
    return {"template_id": template_id, "person_id": person_id, "model_id": model_id, "vector": written(vector)}


def written(vector: Vector) -> str:
    """A vector, float32 (128,), as the database reads it; every bit arrives."""
    return json.dumps(vector.tolist())
