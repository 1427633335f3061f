"""Forgets one look at a person."""

from dataclasses import dataclass

from app.actions import entries
from app.actions.in_step import Report, bring_in_step, to_log
from app.actions.people import found
from app.domain.gallery import Within
from app.domain.particulars import is_id
from app.errors import UnknownTemplate
from app.ports import Clock, Gallery, Store


@dataclass(frozen=True, slots=True)
class RemoveTemplate:
    """Deletes one template for good, then takes it out of the index. Raises UnknownPerson, Erased, UnknownTemplate."""

    store: Store
    gallery: Gallery
    clock: Clock
    report: Report = to_log

    def __call__(self, person_id: str, template_id: str, *, within: Within = None) -> int:
        """The seq that the index reached, or that of the removal where the index could not follow yet."""
        with self.store.write() as uow:
            found(uow, person_id, within)
            if not is_id(template_id) or not uow.templates.remove(person_id, template_id):
                raise UnknownTemplate
            uow.audit.append(entries.of_removal(person_id, template_id, self.clock.now()))
            seq = uow.commit()
        return bring_in_step(self.gallery, seq, self.report)
