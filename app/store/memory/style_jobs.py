"""Renders in memory: part of the published fake of the store."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

from app.domain.job import Status
from app.domain.style_job import CHANGES, KEPT_EVENTS, PRUNE_EVERY, PRUNED, EventType, StyleEvent, StyleJob
from app.store.memory.rows import Transaction


class MemoryStyleJobs:
    """Fits `ports.StyleJobs`."""

    def __init__(self, uow: Transaction, time: Callable[[], datetime]) -> None:
        self._uow = uow
        self._time = time

    def now(self) -> datetime:
        """The time."""
        return self._time()

    def add(self, job: StyleJob) -> None:
        """Inserts."""
        jobs = self._uow.rows_to_change().renders
        if job.id in jobs:
            raise RuntimeError(f"there is a render {job.id} already")
        # Through JSON, as in SQL: no caller shares a dictionary, and a tuple comes back as a list.
        jobs[job.id] = replace(job, **{one.name: _plain(getattr(job, one.name)) for one in fields(job)})

    def get(self, job_id: str) -> StyleJob | None:
        """The job, or None."""
        return self._uow.rows().renders.get(job_id)

    def page(self, *, owner: str | None, status: Status | None, before: str | None, limit: int) -> list[StyleJob]:
        """At most `limit` jobs, the newest first, behind the id `before`; of everybody or of one owner."""
        jobs = sorted(self._uow.rows().renders.values(), key=lambda job: job.id, reverse=True)
        wanted = (job for job in jobs if owner in (None, job.owner) and status in (None, job.status))
        return [job for job in wanted if before is None or job.id < before][:limit]

    def count_queued(self, home: str) -> int:
        """How many wait."""
        return sum(job.status == "queued" for job in self._here(home))

    def unended(self, home: str) -> list[StyleJob]:
        """Those that are running, oldest first, then those that wait, in the order in which they are begun."""
        jobs = [job for job in self._here(home) if not job.ended]
        return sorted(jobs, key=lambda job: (job.status != "running", job.created_at, job.id))

    def done_lately(self, home: str, limit: int) -> list[StyleJob]:
        """Those that succeeded, the last one first."""
        done = [job for job in self._here(home) if job.status == "succeeded"]
        return sorted(done, key=lambda job: job.finished_at or job.created_at, reverse=True)[:limit]

    def waiting(self, home: str) -> bool:
        """Whether `claim` would find one."""
        return self._next(home) is not None

    def claim(self, home: str, lease_s: float) -> StyleJob | None:
        """Begins an attempt at the oldest that is queued, or whose lease has run out."""
        job, now = self._next(home), self.now()
        if job is None:
            return None
        return self._write(
            job,
            status="running",
            token=job.token + 1,
            lease_until=now + timedelta(seconds=lease_s),
            attempt=job.attempt + 1,
            begun_step=job.step,
            begun_at=now,
            started_at=job.started_at or now,
            steps_per_s=None,
        )

    def beat(self, job_id: str, token: int, lease_s: float) -> bool | None:
        """Renews the lease; whether it shall be cancelled, or None where the attempt has lost the job."""
        job = self._mine(job_id, token)
        until = self.now() + timedelta(seconds=lease_s)
        return None if job is None else self._write(job, lease_until=until).cancel_asked

    def write(self, job_id: str, token: int, **changes: Any) -> bool | None:
        """Changes fields of the row; whether it shall be cancelled, or None where the attempt has lost the job."""
        job = self._mine(job_id, token)
        return None if job is None else self._write(job, **_known(changes)).cancel_asked

    def release(self, job_id: str, token: int, *, counted: bool, error: Mapping[str, Any] | None = None) -> bool:
        """Queues it again for whoever comes next. counted: whether the attempt counts as one."""
        job = self._mine(job_id, token)
        if job is None:
            return False
        attempt = job.attempt if counted else job.attempt - 1
        kept = job.error if error is None else _plain(error)
        self._write(job, status="queued", lease_until=None, steps_per_s=None, attempt=attempt, error=kept)
        return True

    def end(
        self,
        job_id: str,
        status: Status,
        *,
        token: int,
        expires_at: datetime,
        error: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> bool:
        """Ends it, now, with its last changes; False where it has ended, or its row has another token by now."""
        job = self._uow.rows_to_change().renders.get(job_id)
        if job is None or job.ended or job.token != token:
            return False
        ended = {"lease_until": None, "cancel_asked": False, "finished_at": self.now(), "expires_at": expires_at}
        self._write(job, **_known(changes), **ended, status=status, error=_plain(error))
        return True

    def ask_cancel(self, job_id: str) -> None:
        """Tells whoever works on it to stop."""
        job = self.get(job_id)
        if job is not None and job.status == "running":
            self._write(job, cancel_asked=True)

    def given_up(self, home: str) -> list[StyleJob]:
        """Those that nobody will begin again."""
        now = self.now()
        left = [job for job in self._uow.rows().renders.values() if job.status == "queued" or _is_left(job, now)]
        return [job for job in left if job.expires_at < now or (job.home == home and _is_given_up(job))]

    def expired(self) -> list[str]:
        """Those that have ended, and whose time is over."""
        now = self.now()
        return [job.id for job in self._uow.rows().renders.values() if job.ended and job.expires_at < now]

    def of_person(self, person_id: str) -> list[StyleJob]:
        """Those that show that person."""
        return [job for job in self._uow.rows().renders.values() if job.person_id == person_id]

    def missing(self, job_ids: Sequence[str]) -> list[str]:
        """Those of them that have no row."""
        return [job_id for job_id in job_ids if job_id not in self._uow.rows().renders]

    def remove(self, job_id: str) -> bool:
        """Deletes the row and its events; False where there is none."""
        rows = self._uow.rows_to_change()
        rows.told = {key: event for key, event in rows.told.items() if key[0] != job_id}
        return rows.renders.pop(job_id, None) is not None

    def tell(self, job_id: str, type_: EventType, data: Mapping[str, Any]) -> int:
        """Appends an event; its seq. Old `progress` and `preview` events are let go."""
        rows = self._uow.rows_to_change()
        job = self._write(rows.renders[job_id], seq=rows.renders[job_id].seq + 1)
        rows.told[job_id, job.seq] = StyleEvent(job.seq, job_id, type_, _plain(data), self.now())
        up_to = job.seq - KEPT_EVENTS
        if up_to > 0 and job.seq % PRUNE_EVERY == 0:
            old = [key for key, one in rows.told.items() if key[0] == job_id and key[1] <= up_to and one.type in PRUNED]
            for key in old:
                del rows.told[key]
            if old:
                self._write(job, pruned=up_to)
        return job.seq

    def events(self, job_id: str, *, after: int, limit: int) -> list[StyleEvent]:
        """At most `limit` events that follow that seq, in order."""
        told = [one for (of, seq), one in self._uow.rows().told.items() if of == job_id and seq > after]
        return sorted(told, key=lambda event: event.seq)[:limit]

    def _here(self, home: str) -> list[StyleJob]:
        return [job for job in self._uow.rows().renders.values() if job.home == home]

    def _next(self, home: str) -> StyleJob | None:
        now = self.now()
        found = [job for job in self._here(home) if _may_begin(job, now)]
        return min(found, key=lambda job: (job.created_at, job.id), default=None)

    def _mine(self, job_id: str, token: int) -> StyleJob | None:
        job = self._uow.rows_to_change().renders.get(job_id)
        return job if job is not None and (job.status, job.token) == ("running", token) else None

    def _write(self, job: StyleJob, **values: Any) -> StyleJob:
        changed = replace(job, **values)
        self._uow.rows_to_change().renders[job.id] = changed
        return changed


def _is_left(job: StyleJob, now: datetime) -> bool:
    return job.status == "running" and job.lease_until is not None and job.lease_until < now


def _may_begin(job: StyleJob, now: datetime) -> bool:
    again = _is_left(job, now) and job.attempt < job.max_attempts
    return not job.cancel_asked and (job.status == "queued" or again)


def _is_given_up(job: StyleJob) -> bool:
    return job.cancel_asked or (job.status == "running" and job.attempt >= job.max_attempts)


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(dict(value))) if isinstance(value, Mapping) else value


def _known(changes: Mapping[str, Any]) -> dict[str, Any]:
    if not CHANGES.issuperset(changes):
        raise ValueError(f"nobody who works on a render changes {', '.join(sorted(set(changes) - CHANGES))}")
    return {name: _plain(value) for name, value in changes.items()}
