"""Erased means erased: rows, index, and a search that proves it (DESIGN, rule 9)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from app.actions.people import found
from app.domain.particulars import RECEIPT, is_id
from app.domain.person import Receipt, Template
from app.errors import Corrupt, UnknownErasure
from app.ports import Clock, Gallery, Identifiers, Store, UnitOfWork

# What else a person may leave behind; this service keeps none of it, so that there is none to remove.
NEVER_KEPT = (
    "snapshots",
    "crops",
    "photos",
    "idempotency_records",
    "style_files",
    "batch_files",
    "calibration_files",
    "outbox",
    "edge_bundles",
    "retained_messages",
    "events_redacted",
)
NEAREST = 10


@dataclass(frozen=True, slots=True)
class Erase:
    """Erases a person for good. Raises UnknownPerson, Erased.

    The rows go in one transaction, together with the receipt; the index follows; then the person's own vectors are
    searched for, and what that found is written to the receipt.
    """

    store: Store
    gallery: Gallery
    clock: Clock
    identifiers: Identifiers
    report: Callable[[str], None]

    def __call__(self, person_id: str) -> Receipt:
        """The receipt; `search_missed` is None when the proving search could not run, or its outcome not be stored."""
        held = self._held(person_id)
        with self.store.write() as uow:
            found(uow, person_id)
            templates = self._templates(uow, person_id)
            removed = {"templates": uow.people.erase(person_id), "index_rows": held} | dict.fromkeys(NEVER_KEPT, 0)
            # Nobody else writes meanwhile: the head that this transaction sees is the seq that it commits.
            seq = uow.changes.head()
            receipt = Receipt(self.identifiers.new(RECEIPT), person_id, self.clock.now(), removed, index_seq=seq)
            uow.erasures.add(receipt)
            uow.commit()
        return self._proved(receipt, *self._prove(templates, seq))

    def _proved(self, receipt: Receipt, seq: int, missed: bool | None) -> Receipt:
        try:
            with self.store.write() as uow:
                uow.erasures.prove(receipt.id, search_missed=missed, index_seq=seq)
                uow.commit()
        except Exception as e:  # the person is erased all the same: the answer is the receipt as it is stored
            self.report(f"the proof of an erasure could not be stored: {type(e).__name__}")
            return receipt
        return replace(receipt, search_missed=missed, index_seq=seq)

    def _held(self, person_id: str) -> int:
        with self.store.read() as uow:
            found(uow, person_id)
            theirs = [template.id for template in self._templates(uow, person_id) or ()]
        try:
            self.gallery.catch_up()
            return sum(self.gallery.holds_any([template_id]) for template_id in theirs)
        except Exception as e:  # a broken index must not keep anybody from being erased
            self.report(f"the index could not be asked before an erasure: {type(e).__name__}")
            return 0

    def _templates(self, uow: UnitOfWork, person_id: str) -> Sequence[Template] | None:
        try:
            return uow.templates.of(person_id)
        except Corrupt as e:  # what cannot be opened can still be erased; only the proof cannot run
            self.report(f"a template could not be read before an erasure: {type(e).__name__}")
            return None

    def _prove(self, templates: Sequence[Template] | None, seq: int) -> tuple[int, bool | None]:
        try:
            seq = self.gallery.catch_up()
            if templates is None:
                return seq, None
            gone = [template.id for template in templates]
            missed = not self.gallery.holds_any(gone)
            for template in templates:
                hits = self.gallery.search(template.vector, NEAREST)
                missed = missed and not any(hit.template_id in gone for hit in hits)
        except Exception as e:  # the rows are gone whatever becomes of the proof: the receipt must still be given
            self.report(f"the proving search of an erasure could not run: {type(e).__name__}")
            return seq, None
        if not missed:
            self.report("an erased person's templates are still in the index")
        return seq, missed


@dataclass(frozen=True, slots=True)
class FindReceipt:
    """A receipt by its own id or by the person's. Raises UnknownErasure. Read-only."""

    store: Store

    def __call__(self, erasure_or_person_id: str) -> Receipt:
        """The receipt as stored."""
        if is_id(erasure_or_person_id):
            with self.store.read() as uow:
                receipt = uow.erasures.get(erasure_or_person_id)
            if receipt is not None:
                return receipt
        raise UnknownErasure
