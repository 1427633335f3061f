"""Vectors in clear beside the sealed ones: there only where somebody chose to search in the database.

The table is no part of the schema that migrations make. Whether it is there is asked in each transaction that writes a
template, so that every process keeps it right, also one that searches otherwise. Its rows go with their templates.
"""

import json
from collections.abc import Sequence

from sqlalchemy import Connection, text

from app.domain.face import Vector
from app.domain.person import Template

_IS_THERE = text("SELECT to_regclass('template_vectors') IS NOT NULL")
_ADD = text(
    "INSERT INTO template_vectors (template_id, person_id, model_id, vector)"
    " VALUES (:template_id, :person_id, :model_id, CAST(:vector AS vector)) ON CONFLICT (template_id) DO NOTHING"
)
_MOVE = text("UPDATE template_vectors SET person_id = :person_id WHERE template_id = :template_id")


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
            rows = [
                {"template_id": t.id, "person_id": t.person_id, "model_id": t.model_id, "vector": written(t.vector)}
                for t in templates
            ]
            self._connection.execute(_ADD, rows)

    def move(self, template_ids: Sequence[str], to_person_id: str) -> None:
        """Gives the rows of these templates to that person."""
        if template_ids and self.kept:
            self._connection.execute(_MOVE, [{"template_id": id_, "person_id": to_person_id} for id_ in template_ids])


def written(vector: Vector) -> str:
    """A vector, float32 (128,), as the database reads it; every bit arrives."""
    return json.dumps(vector.tolist())
