"""Changes what is said of a person."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.actions import entries
from app.actions.in_step import Report, bring_in_step, to_log
from app.actions.people import Placed, found
from app.domain import particulars
from app.domain.gallery import Within
from app.domain.person import Person
from app.errors import Stale
from app.ports import Clock, Gallery, Store


@dataclass(frozen=True, slots=True)
class ChangePerson:
    """Changes some fields of a person. Raises UnknownPerson, Erased, Stale, InvalidField. Writes the row."""

    store: Store
    gallery: Gallery
    clock: Clock
    report: Report = to_log

    def __call__(
        self, person_id: str, changes: Mapping[str, Any], revision: int | None, *, within: Within = None
    ) -> Placed:
        """The person as stored afterwards. revision: the one that the caller saw; None: whatever it is.

        changes: any of name, external_id, metadata, groups, consent, active, face_opt_out, valid_from, valid_until.
        """
        with self.store.write() as uow:
            person = found(uow, person_id, within)
            galleries = uow.galleries.of(person_id)
            if revision is not None and revision != person.revision:
                raise Stale
            changed = _changed(person, changes)
            if changed == person:
                return Placed(person, galleries)
            changed = replace(changed, revision=person.revision + 1, updated_at=self.clock.now())
            uow.people.replace(changed)
            uow.audit.append(entries.of_change(person_id, _differing(person, changed), changed.updated_at))
            seq = uow.commit()
        bring_in_step(self.gallery, seq, self.report)
        return Placed(changed, galleries)


def _differing(before: Person, after: Person) -> list[str]:
    counted = ("revision", "updated_at")
    names = (name for name in Person.__dataclass_fields__ if name not in counted)
    return [name for name in names if getattr(before, name) != getattr(after, name)]


def _changed(person: Person, changes: Mapping[str, Any]) -> Person:
    draft = replace(person, **changes)
    start, end = particulars.validity(draft.valid_from, draft.valid_until)
    return replace(
        draft,
        name=particulars.line("name", draft.name),
        external_id=particulars.line_or_none("external_id", draft.external_id),
        metadata=particulars.metadata(draft.metadata),
        groups=particulars.groups(draft.groups),
        consent=particulars.line_or_none("consent", draft.consent, particulars.LONGEST_TEXT),
        valid_from=start,
        valid_until=end,
    )
