"""The next render -> an attempt at it, held by a lease."""

from dataclasses import dataclass

from app.actions.style.telling import tell_status
from app.domain.style_job import StyleJob
from app.ports import Store, StyleFiles

LEASE_S = 30.0


@dataclass(frozen=True, slots=True)
class ClaimStyle:
    """Begins an attempt at the oldest render that waits, or that whoever worked on it has left. One statement."""

    store: Store
    files: StyleFiles
    lease_s: float = LEASE_S

    def __call__(self) -> StyleJob | None:
        """One whose files lie here, its lease ours; None when none waits."""
        with self.store.read() as uow:
            if not uow.style_jobs.waiting(self.files.home):
                return None
        with self.store.write() as uow:
            job = uow.style_jobs.claim(self.files.home, self.lease_s)
            if job is not None:
                tell_status(uow, job)
                uow.commit()
        return job
