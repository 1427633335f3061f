"""What is told of a render with each change of its row, in the transaction that makes the change."""

from datetime import timedelta
from typing import Any

from app.domain.job import Status
from app.domain.style_job import StyleJob
from app.ports import UnitOfWork


def tell_status(uow: UnitOfWork, job: StyleJob) -> None:
    """Tells where the job stands now."""
    said = {"status": job.status, "attempt": job.attempt, "cancel_asked": job.cancel_asked}
    uow.style_jobs.tell(job.id, "status", said)


def tell_again(uow: UnitOfWork, job_id: str) -> StyleJob:
    """Tells where the job stands after a change; the job."""
    job = uow.style_jobs.get(job_id)
    assert job is not None, "it was just written"
    tell_status(uow, job)
    return job


def end(
    uow: UnitOfWork,
    job: StyleJob,
    status: Status,
    kept: timedelta,
    *,
    error: dict[str, Any] | None = None,
    **changes: Any,
) -> bool:
    """Ends the job with its last event; False where it has ended before, or another attempt has it."""
    until = uow.style_jobs.now() + kept
    if not uow.style_jobs.end(job.id, status, token=job.token, expires_at=until, error=error, **changes):
        return False
    uow.style_jobs.tell(job.id, "completed", {"status": status})
    return True
