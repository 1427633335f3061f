"""Renders that nobody will begin again -> ended; those whose time is over -> gone, with their files."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.actions.style.telling import end
from app.domain.job import Status
from app.domain.style_job import StyleJob
from app.ports import Store, StyleFiles

# Files are written before their row: those without one are left alone for as long.
UNROWED_S = 120.0


@dataclass(frozen=True, slots=True)
class TidyStyles:
    """Ends what was given up, deletes what has expired, and files without a row. Writes rows, events and files.

    report: told of each render that was given up.
    """

    store: Store
    files: StyleFiles
    kept: timedelta
    report: Callable[[str], object]

    def __call__(self) -> None:
        """Once; what cannot be done now is done the next time."""
        with self.store.read() as uow:
            given_up, expired = uow.style_jobs.given_up(self.files.home), uow.style_jobs.expired()
        for job in given_up:
            self._give_up(job)
        for job_id in expired:
            with self.store.write() as uow:
                uow.style_jobs.remove(job_id)
                uow.commit()
        self.sweep()

    def sweep(self) -> None:
        """Deletes files whose row is gone: of the erased and removed, also where another process did it."""
        self.files.sweep()
        held = self.files.held(UNROWED_S)
        with self.store.read() as uow:
            gone = uow.style_jobs.missing(held) if held else []
        for job_id in gone:
            self.files.remove(job_id)

    def _give_up(self, job: StyleJob) -> None:
        status: Status = "cancelled" if job.cancel_asked else "failed"
        with self.store.write() as uow:
            if end(uow, job, status, self.kept, error=None if job.cancel_asked else _why(uow.style_jobs.now(), job)):
                uow.commit()
                self.report(f"the render {job.id} was given up after {job.attempt} attempts")
        if job.home == self.files.home:
            self.files.keep_only(job.id, job.files)


def _why(now: datetime, job: StyleJob) -> dict[str, Any]:
    """The problem that the row keeps: why it was given up, and the last error of an attempt."""
    if job.expires_at < now and job.attempt < job.max_attempts:
        told = {"code": "worker_lost", "detail": "It was not made in time: send it again."}
    else:
        detail = f"It was begun {job.attempt} times, and whoever worked on it was lost each time: send it again."
        told = {"code": "worker_lost", "detail": detail}
    return told if job.error is None else {**told, "last": dict(job.error)}
