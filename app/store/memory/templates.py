"""Templates in memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from app.domain.person import Template
from app.errors import UnknownPerson, UnknownTemplate
from app.store.memory.rows import Transaction, oldest_first


class MemoryTemplates:
    """Fits `ports.Templates`."""

    def __init__(self, uow: Transaction) -> None:
        self._uow = uow

    def add(self, template: Template) -> None:
        rows = self._uow.rows_to_change()
        if template.person_id not in rows.persons:
            raise UnknownPerson
        if template.id in rows.templates:
            raise RuntimeError(f"there is a template {template.id} already")
        vector = np.array(template.vector, np.float32)
        vector.flags.writeable = False
        rows.templates[template.id] = replace(template, vector=vector)
        rows.note("template", template.id, "add")

    def of(self, person_id: str) -> list[Template]:
        return oldest_first(self._uow.rows(), person_id)

    # Nothing is sealed here, and so nothing is ever `unreadable`.
    def with_ids(
        self, template_ids: Sequence[str], *, unreadable: Callable[[str], object] | None = None
    ) -> list[Template]:
        held = self._uow.rows().templates
        return [held[id_] for id_ in dict.fromkeys(template_ids) if id_ in held]

    def of_model(self, model_id: str, *, unreadable: Callable[[str], object] | None = None) -> Iterator[Template]:
        return iter([t for t in self._uow.rows().templates.values() if t.model_id == model_id])

    def owners_of_model(self, model_id: str) -> Iterator[tuple[str, str]]:
        held = self._uow.rows().templates
        return iter([(id_, held[id_].person_id) for id_ in sorted(held) if held[id_].model_id == model_id])

    def remove(self, person_id: str, template_id: str) -> bool:
        rows = self._uow.rows_to_change()
        template = rows.templates.get(template_id)
        if template is None or template.person_id != person_id:
            return False
        rows.drop_template(template_id)
        return True

    def move(self, template_ids: Sequence[str], to_person_id: str) -> None:
        rows = self._uow.rows_to_change()
        if to_person_id not in rows.persons:
            raise UnknownPerson
        for template_id in template_ids:
            if template_id not in rows.templates:
                raise UnknownTemplate
            rows.templates[template_id] = replace(rows.templates[template_id], person_id=to_person_id)
            rows.note("template", template_id, "update")

    def count(self) -> int:
        return len(self._uow.rows().templates)

    def models(self) -> frozenset[str]:
        return frozenset(template.model_id for template in self._uow.rows().templates.values())
