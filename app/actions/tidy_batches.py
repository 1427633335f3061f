"""Ends what nobody will begin again, forgets what has expired, and deletes what no job needs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from app.actions.jobs import tidy_jobs
from app.domain.job import ENROLL_BATCH
from app.ports import Clock, Spool, Store

# An upload, or a file whose row was never committed, that is older than any that is still on its way.
LEFT_BEHIND_S = 24 * 3600.0


def let_file_go(store: Store, spool: Spool, job_id: str, *, unknown_too: bool = False) -> bool:
    """Deletes the file of a job that has ended, or, with `unknown_too`, has no row; whether there was one to delete.

    Nobody can send the batch again in between: that writes the file and its row in one transaction, and writers are
    serial. A file that was sent before is that of a job which waits, and stays.
    """
    with store.write() as uow:
        job = uow.jobs.get(job_id)
        ended = unknown_too if job is None else job.ended
        return ended and spool.remove(job_id)


@dataclass(frozen=True, slots=True)
class TidyBatches:
    """Ends what nobody will begin again, forgets what has expired, and deletes files that no job needs.

    Photos of the erased are blanked in the files that lie here.
    """

    store: Store
    spool: Spool
    clock: Clock
    kept: timedelta
    report: Callable[[str], object]

    def __call__(self) -> None:
        """Does all of it; writes nothing where there is nothing to do."""
        tidy_jobs(self.store, self.clock, ENROLL_BATCH, self.kept, self.report)
        self.blank_erased()
        old = set(self.spool.sweep(LEFT_BEHIND_S))
        for job_id in self.spool.held():
            with self.store.read() as uow:
                needed = uow.jobs.get(job_id)
            if (needed is None and job_id in old) or (needed is not None and needed.ended):
                let_file_go(self.store, self.spool, job_id, unknown_too=True)

    def blank_erased(self) -> int:
        """Overwrites the photos of the erased in the files that lie here; how many."""
        count = 0
        for job_id in self.spool.held():
            with self.store.read() as uow:
                places = uow.batches.erased_places(job_id)
            if not places:
                continue
            self.spool.blank(job_id, places.values())
            with self.store.write() as uow:
                uow.batches.forget_places(job_id, places.keys())
                uow.commit()
            count += len(places)
        return count
