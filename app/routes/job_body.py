"""What every job looks like, of whatever kind."""

from typing import cast

from typing_extensions import TypedDict

from app.domain.job import Job
from app.domain.style_job import StyleJob
from app.routes.answers import moment, stamp
from app.routes.problems import heading

AnyJob = Job | StyleJob


class ProgressBody(TypedDict):
    """fraction 0..1; step of steps; eta_s: seconds to the end, null while there is no telling."""

    fraction: float
    step: int
    steps: int
    eta_s: float | None


class JobErrorBody(TypedDict):
    """The problem that ended a job."""

    type: str
    title: str
    status: int
    code: str
    detail: str


class JobFacts(TypedDict):
    """What is told of every job. expires_at: when it is forgotten."""

    id: str
    kind: str
    status: str
    attempt: int
    max_attempts: int
    error: JobErrorBody | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    expires_at: str


class JobBody(JobFacts):
    """A job, and how far it has come."""

    progress: ProgressBody


class JobUrlsBody(TypedDict):
    """Where to look further."""

    self: str
    cancel: str


def job_body(job: Job, eta_s: float | None) -> JobBody:
    """What is told of a job of any kind."""
    return {**job_facts(job, job.kind), "progress": progress_body(job, eta_s)}


def job_facts(job: AnyJob, kind: str) -> JobFacts:
    """The same without its progress."""
    return {
        "id": job.id,
        "kind": kind,
        "status": job.status,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "error": _error_body(job),
        "created_at": stamp(job.created_at),
        "started_at": moment(job.started_at),
        "finished_at": moment(job.finished_at),
        "expires_at": stamp(job.expires_at),
    }


def progress_body(job: AnyJob, eta_s: float | None) -> ProgressBody:
    """How far a job has come."""
    return {
        "fraction": round(min(1.0, job.fraction), 6),
        "step": job.step,
        "steps": job.steps,
        "eta_s": None if eta_s is None else round(eta_s, 1),
    }


def _error_body(job: AnyJob) -> JobErrorBody | None:
    if job.error is None:
        return None
    return cast(JobErrorBody, {**heading(job.error["code"]), "detail": job.error["detail"]})
