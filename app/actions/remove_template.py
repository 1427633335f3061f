"""Forgets one look at a person."""

from dataclasses import dataclass

from app.actions.in_step import Report, bring_in_step, to_log
from app.actions.people import found
from app.domain.particulars import is_id
from app.errors import UnknownTemplate
from app.ports import Gallery, Store


@dataclass(frozen=True, slots=True)
class RemoveTemplate:
    """Deletes one template for good, then takes it out of the index. Raises UnknownPerson, Erased, UnknownTemplate."""

    store: Store
    gallery: Gallery
    report: Report = to_log

    def __call__(self, person_id: str, template_id: str) -> int:
        """The seq that the index reached, or that of the removal where the index could not follow yet."""
        with self.store.write() as uow:
            found(uow, person_id)
            if not is_id(template_id) or not uow.templates.remove(person_id, template_id):
                raise UnknownTemplate
            seq = uow.commit()
        return bring_in_step(self.gallery, seq, self.report)
