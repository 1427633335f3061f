"""A subject's access request: everything that is held of a person."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.actions.people import Placed, found, placed, refuse_beyond
from app.domain.audit import AuditFilter, Entry, Record
from app.domain.batch import BatchItem
from app.domain.face import Crop
from app.domain.gallery import Within
from app.domain.identity import IdentityChange
from app.domain.person import Template
from app.ports import Clock, Store, UnitOfWork

EXPORTED = "person.exported"
PIECE = 500


@dataclass(frozen=True, slots=True)
class Held:
    """Everything. crops: by template id, of those templates of which one is kept.

    absorbed: ids that are the same person since a merge, which what follows tells of too; seen_at: when the person was
    last recognized; photos of batches by job; records: kept answers that name the person.
    """

    placed: Placed
    templates: tuple[Template, ...] = field(repr=False)
    crops: Mapping[str, Crop] = field(repr=False)
    absorbed: tuple[str, ...]
    changes: tuple[IdentityChange, ...]
    seen_at: datetime | None
    audit: tuple[Record, ...]
    batch_items: tuple[tuple[str, BatchItem], ...]
    records: int


@dataclass(frozen=True, slots=True)
class Export:
    """Reads everything that is held of a person. Raises UnknownPerson (Erased, Merged), OutOfScope, Corrupt.

    Writes only that it was asked for, to the audit trail, before anything is told.
    """

    store: Store
    clock: Clock

    def __call__(self, person_id: str, *, within: Within = None) -> Held:
        """within: a caller who is bound gets all of a person or nothing."""
        with self.store.write() as uow:
            found(uow, person_id, within)
            refuse_beyond(uow, (person_id,), within)
            uow.audit.append(Entry(EXPORTED, self.clock.now(), person_id=person_id))
            uow.commit()
        with self.store.read() as uow:
            person = found(uow, person_id, within)
            absorbed = uow.identities.absorbed(person_id)
            every = (person_id, *absorbed)
            changes = {change.id: change for id_ in every for change in uow.identities.of(id_)}
            return Held(
                placed(uow, [person])[0],
                tuple(uow.templates.of(person_id)),
                uow.crops.of(person_id),
                absorbed,
                tuple(sorted(changes.values(), key=lambda change: (change.made_at, change.id))),
                uow.sightings.last(person_id),
                tuple(sorted((r for id_ in every for r in _trail(uow, id_)), key=lambda record: record.line.seq)),
                tuple(item for id_ in every for item in uow.batches.of(id_)),
                sum(uow.idempotency.count_person(id_) for id_ in every),
            )


def _trail(uow: UnitOfWork, person_id: str) -> Iterator[Record]:
    before: int | None = None
    while page := uow.audit.page(AuditFilter(person_id=person_id), before=before, limit=PIECE):
        yield from page
        before = page[-1].line.seq
