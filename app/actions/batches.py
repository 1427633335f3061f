"""Batches looked at and cancelled, by the key that sent them or an admin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from app.actions.jobs import CancelJob, found_job
from app.actions.tidy_batches import let_file_go
from app.domain.batch import BatchItem
from app.domain.job import ENROLL_BATCH, Job
from app.domain.key import Key
from app.ports import Clock, Spool, Store


@dataclass(frozen=True, slots=True)
class Batch:
    """A job, how many of its items have which status, and seconds to its end, None while there is no telling."""

    job: Job
    counts: Mapping[str, int]
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class FindBatch:
    """A batch by its job's id; only its owner and an admin see it. Raises UnknownJob. Read-only."""

    store: Store
    clock: Clock

    def __call__(self, job_id: str, key: Key) -> Batch:
        """The job as stored now, with counts."""
        with self.store.read() as uow:
            job = found_job(uow, job_id, key, ENROLL_BATCH)
            return Batch(job, uow.batches.counts(job_id), job.eta_s(self.clock.now()))


@dataclass(frozen=True, slots=True)
class ListItems:
    """The items of a batch in order. Raises UnknownJob. Read-only."""

    store: Store

    def __call__(self, job_id: str, key: Key, *, status: str | None, after: int, limit: int) -> Sequence[BatchItem]:
        """At most `limit` items behind the number `after`."""
        with self.store.read() as uow:
            found_job(uow, job_id, key, ENROLL_BATCH)
            return uow.batches.page(job_id, status=status, after=after, limit=limit)


@dataclass(frozen=True, slots=True)
class CancelBatch:
    """Stops a batch after the photos at hand; what is stored stays, and one that ended is left. Raises UnknownJob."""

    store: Store
    spool: Spool
    clock: Clock
    kept: timedelta

    def __call__(self, job_id: str, key: Key) -> Batch:
        """The batch as it stands now: one that is worked on ends within seconds."""
        CancelJob(self.store, self.clock, ENROLL_BATCH, self.kept)(job_id, key)
        batch = FindBatch(self.store, self.clock)(job_id, key)
        if batch.job.ended:
            # Once that is committed: a job that goes on after all needs its file.
            let_file_go(self.store, self.spool, job_id)
        return batch
