"""Jobs in memory: part of the published fake of the store."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from app.domain.job import Job, Status
from app.store.memory.rows import Transaction


class MemoryJobs:
    """Fits `ports.Jobs`."""

    def __init__(self, uow: Transaction) -> None:
        self._uow = uow

    def add(self, job: Job) -> None:
        """Inserts."""
        jobs = self._uow.rows_to_change().jobs
        if job.id in jobs or self.of(job.owner, job.kind, job.digest) is not None:
            raise RuntimeError(f"there is a job {job.id}, or one of that content, already")
        # Through JSON, as in SQL: no caller shares a dictionary, and a tuple comes back as a list.
        jobs[job.id] = replace(job, parameters=json.loads(json.dumps(dict(job.parameters))))

    def get(self, job_id: str) -> Job | None:
        """The job, or None."""
        return self._uow.rows().jobs.get(job_id)

    def of(self, owner: str, kind: str, digest: str) -> Job | None:
        """That owner's job of that content, or None."""
        wanted = (owner, kind, digest)
        return next(
            (job for job in self._uow.rows().jobs.values() if (job.owner, job.kind, job.digest) == wanted), None
        )

    def waiting(self, kind: str, among: Sequence[str], now: datetime) -> bool:
        """Whether `claim` would find one."""
        return self._next(kind, among, now) is not None

    def claim(self, kind: str, among: Sequence[str], *, token: str, now: datetime, until: datetime) -> Job | None:
        """Begins an attempt at the oldest of these that is queued or was left; None: there is none."""
        job = self._next(kind, among, now)
        if job is None:
            return None
        return self._write(
            job,
            status="running",
            token=token,
            lease_until=until,
            attempt=1 if job.step > job.begun_step else job.attempt + 1,
            begun_step=job.step,
            begun_at=now,
            started_at=job.started_at or now,
        )

    def beat(self, job_id: str, token: str, until: datetime) -> bool | None:
        """Renews the lease; whether it shall be cancelled, or None where the attempt has lost the job."""
        job = self._mine(job_id, token)
        return None if job is None else self._write(job, lease_until=until).cancel_asked

    def advance(self, job_id: str, token: str, by: int = 1) -> bool:
        """Counts steps; False where the attempt has lost the job."""
        job = self._mine(job_id, token)
        return job is not None and bool(self._write(job, step=job.step + by))

    def release(self, job_id: str, token: str) -> bool:
        """Queues it again for whoever comes next, as if this attempt had not been made."""
        job = self._mine(job_id, token)
        more = {"status": "queued", "token": None, "lease_until": None}
        return job is not None and bool(self._write(job, **more, attempt=job.attempt - 1))

    def end(
        self,
        job_id: str,
        status: Status,
        *,
        token: str | None,
        at: datetime,
        expires_at: datetime,
        error: dict[str, Any] | None = None,
        result: dict[str, Any] | None = None,
    ) -> bool:
        """Ends it; False where the row has another token by now."""
        job = self.get(job_id)
        if job is None or job.ended or job.token != token:
            return False
        ended = {"token": None, "lease_until": None, "cancel_asked": False}
        found = None if result is None else json.loads(json.dumps(result))
        more = {"error": error, "result": found, "finished_at": at, "expires_at": expires_at}
        return bool(self._write(job, status=status, **more, **ended))

    def unended(self, kind: str) -> list[str]:
        """The ids of those that are queued or running, oldest first."""
        found = [job for job in self._uow.rows().jobs.values() if job.kind == kind and not job.ended]
        return [job.id for job in sorted(found, key=lambda job: (job.created_at, job.id))]

    def ask_cancel(self, job_id: str) -> None:
        """Tells whoever works on it to stop."""
        job = self.get(job_id)
        if job is not None and job.status == "running":
            self._write(job, cancel_asked=True)

    def go_on(self, job_id: str, expires_at: datetime) -> None:
        """Queues it again, its attempts counted from none; one that is worked on just goes on, uncancelled."""
        job = self._uow.rows_to_change().jobs[job_id]
        if job.status == "running":
            self._write(job, cancel_asked=False)
            return
        afresh = {
            "error": None,
            "result": None,
            "finished_at": None,
            "token": None,
            "lease_until": None,
            "cancel_asked": False,
        }
        begun = {"attempt": 0, "begun_step": job.step, "begun_at": None}
        self._write(job, status="queued", expires_at=expires_at, **afresh, **begun)

    def count_anew(self, job_id: str, step: int, steps: int) -> None:
        """Writes how many steps there are and how many are done."""
        self._write(self._uow.rows_to_change().jobs[job_id], step=step, steps=steps)

    def given_up(self, kind: str, now: datetime) -> list[Job]:
        """Those that nobody will begin again."""
        return [job for job in self._uow.rows().jobs.values() if job.kind == kind and _is_given_up(job, now)]

    def forget(self, kind: str, now: datetime) -> list[str]:
        """Deletes those that ended and have expired, with their items; their ids."""
        rows = self._uow.rows_to_change()
        gone = [job.id for job in rows.jobs.values() if job.kind == kind and job.ended and job.expires_at < now]
        for job_id in gone:
            del rows.jobs[job_id]
        rows.items = {key: item for key, item in rows.items.items() if key[0] not in gone}
        return gone

    def _next(self, kind: str, among: Sequence[str], now: datetime) -> Job | None:
        found = [j for j in self._uow.rows().jobs.values() if j.kind == kind and j.id in among and _may_begin(j, now)]
        return min(found, key=lambda job: (job.created_at, job.id), default=None)

    def _mine(self, job_id: str, token: str) -> Job | None:
        job = self._uow.rows_to_change().jobs.get(job_id)
        return job if job is not None and (job.status, job.token) == ("running", token) else None

    def _write(self, job: Job, **values: Any) -> Job:
        changed = replace(job, **values)
        self._uow.rows_to_change().jobs[job.id] = changed
        return changed


def _left(job: Job, now: datetime) -> bool:
    return job.status == "running" and job.lease_until is not None and job.lease_until < now


def _may_begin(job: Job, now: datetime) -> bool:
    again = job.step > job.begun_step or job.attempt < job.max_attempts
    return job.status == "queued" or (_left(job, now) and not job.cancel_asked and again)


def _is_given_up(job: Job, now: datetime) -> bool:
    if _left(job, now) and (job.cancel_asked or not _may_begin(job, now)):
        return True
    return job.expires_at < now and (job.status == "queued" or _left(job, now))
