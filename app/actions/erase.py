"""Erased means erased: rows, keys, index, and a search that proves it (DESIGN, rule 9)."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.actions import entries
from app.actions.people import found
from app.domain.gallery import Within
from app.domain.job import CALIBRATION, ENROLL_BATCH
from app.domain.particulars import RECEIPT, is_id
from app.domain.person import Receipt, Template
from app.errors import Corrupt, UnknownErasure
from app.ports import Clock, Gallery, Identifiers, Store, StyleFiles, UnitOfWork

# What else a person may leave behind; this service keeps none of it, so that there is none to remove.
NEVER_KEPT = (
    "photos",
    "outbox",
    "edge_bundles",
    "retained_messages",
    "events_redacted",
)
NEAREST = 10
SNAPSHOTS = "snapshots"


class SeenSince(Exception):
    """The person was seen, changed or given a template since, and is not erased."""


@dataclass(frozen=True, slots=True)
class Erase:
    """Erases a person for good. Raises UnknownPerson, Erased.

    The rows go in one transaction, together with the receipt; the person's keys follow, which no backup of the database
    holds, the snapshot of the index, and the index; then the person's own vectors are searched for, and what that found
    is written to the receipt.
    """

    store: Store
    gallery: Gallery
    clock: Clock
    identifiers: Identifiers
    report: Callable[[str], None]
    # Overwrites the photos of the erased in the files of batches that lie here.
    blank_files: Callable[[], object] = lambda: None
    style_files: StyleFiles | None = None

    def __call__(self, person_id: str, *, within: Within = None, unseen_since: datetime | None = None) -> Receipt:
        """The receipt; `search_missed` is None when the proving search could not run, or its outcome not be stored.

        None too where keys, files of renders or a snapshot that may hold the person could not be deleted.
        unseen_since: raises SeenSince, and erases nothing, where the person was seen, enrolled, changed or given a
        template at that time or after it.
        """
        held = self._held(person_id, within)
        with self.store.write() as uow:
            found(uow, person_id, within)
            if unseen_since is not None and not uow.sightings.is_unseen(person_id, unseen_since):
                raise SeenSince
            templates = self._templates(uow, person_id)
            # Who was merged into this person is the same one.
            every = (person_id, *uow.identities.absorbed(person_id))
            keys = sum(uow.people.keys(id_) for id_ in every)
            files: Counter[str] = sum((Counter(uow.batches.erase(id_)) for id_ in every), Counter())
            crops = uow.crops.count(person_id)
            removed = {"templates": uow.people.erase(person_id), "keys": keys, "index_rows": held, "crops": crops}
            removed |= dict.fromkeys(NEVER_KEPT, 0)
            removed["batch_files"], removed["calibration_files"] = files[ENROLL_BATCH], files[CALIBRATION]
            renders = self._renders(uow, every)
            removed["style_files"] = sum(renders.values())
            removed["idempotency_records"] = sum(uow.idempotency.forget_person(id_) for id_ in every)
            # Nobody else writes meanwhile: the head that this transaction sees is the seq that it commits.
            seq = uow.changes.head()
            receipt = Receipt(self.identifiers.new(RECEIPT), person_id, self.clock.now(), removed, index_seq=seq)
            audit_seq = uow.audit.append(entries.of_erasure(receipt))
            # Counted after the commit, so that the row of the trail, which stays as it is, says nothing of them.
            receipt = replace(receipt, removed={**removed, SNAPSHOTS: 0}, audit_seq=audit_seq)
            uow.erasures.add(receipt)
            uow.commit()
        self._blank_files()
        renderless = self._remove_files(renders)
        # Before the index follows, which would delete the snapshot uncounted.
        snapshots = self._snapshots()
        seq, missed = self._prove(templates, seq)
        keyless = self._keyless(every)
        return self._proved(
            receipt, seq, missed if keyless and renderless and snapshots is not None else None, snapshots or 0
        )

    def _blank_files(self) -> None:
        try:
            self.blank_files()
        except Exception as e:  # it is tried again within seconds; the receipt must still be given
            self.report(f"photos of an erased person are still to be overwritten in a batch: {type(e).__name__}")

    def _renders(self, uow: UnitOfWork, person_ids: Sequence[str]) -> dict[str, int]:
        """Deletes the rows of renders that show the person; their ids, and how many files each has here.

        Whoever works on one finds no row to write to, and stops.
        """
        jobs = [job for id_ in person_ids for job in uow.style_jobs.of_person(id_)]
        for job in jobs:
            uow.style_jobs.remove(job.id)
        return {job.id: 0 if self.style_files is None else len(self.style_files.names(job.id)) for job in jobs}

    def _remove_files(self, renders: Iterable[str]) -> bool:
        try:
            for job_id in renders:
                if self.style_files is not None:
                    self.style_files.remove(job_id)
        except Exception as e:  # the rows are gone: it is tried again within minutes
            self.report(f"files of renders of an erased person cannot be removed: {type(e).__name__}")
            return False
        return True

    def _snapshots(self) -> int | None:
        """How many were deleted; None where one that may hold the person stays. Of several processes one counts it."""
        try:
            return self.gallery.drop_snapshot()
        except Exception as e:  # the rows are gone all the same; the next snapshot takes its place
            self.report(f"a snapshot that may hold an erased person cannot be deleted: {type(e).__name__}")
            return None

    def _proved(self, receipt: Receipt, seq: int, missed: bool | None, snapshots: int) -> Receipt:
        try:
            with self.store.write() as uow:
                uow.erasures.prove(receipt.id, search_missed=missed, index_seq=seq, snapshots=snapshots)
                uow.commit()
        except Exception as e:  # the person is erased all the same: the answer is the receipt as it is stored
            self.report(f"the proof of an erasure could not be stored: {type(e).__name__}")
            return receipt
        removed = {**receipt.removed, SNAPSHOTS: snapshots}
        return replace(receipt, search_missed=missed, index_seq=seq, removed=removed)

    def _held(self, person_id: str, within: Within) -> int:
        with self.store.read() as uow:
            found(uow, person_id, within)
            theirs = [template.id for template in self._templates(uow, person_id) or ()]
        try:
            self.gallery.catch_up()
            return sum(self.gallery.holds_any([template_id]) for template_id in theirs)
        except Exception as e:  # a broken index must not keep anybody from being erased
            self.report(f"the index could not be asked before an erasure: {type(e).__name__}")
            return 0

    def _keyless(self, person_ids: Sequence[str]) -> bool:
        try:
            with self.store.read() as uow:
                left = any(uow.people.keys(id_) for id_ in person_ids)
        except Exception as e:  # unproved, then
            self.report(f"the keys could not be looked for after an erasure: {type(e).__name__}")
            return False
        if left:
            self.report("the keys of an erased person are still there: the next erasure or start destroys them")
        return not left

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
            # One that a cut-over left behind is in no index that it could be searched in.
            for template in (one for one in templates if one.model_id == self.gallery.served.model_id):
                hits = self.gallery.search(template.vector, NEAREST, model_id=template.model_id)
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

    def __call__(self, erasure_or_person_id: str, *, within: Within = None) -> Receipt:
        """The receipt as stored. within: a caller who is bound needs its own id: whose it was, nobody can tell now."""
        if is_id(erasure_or_person_id):
            with self.store.read() as uow:
                receipt = uow.erasures.get(erasure_or_person_id)
            if receipt is not None and (within is None or receipt.id == erasure_or_person_id):
                return receipt
        raise UnknownErasure
