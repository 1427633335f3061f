"""Jobs in SQL. Each statement says which attempt may make it: a write that touches no row tells that it may not."""

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, delete, func, insert, or_, select, update

from app.domain.job import Job, Status
from app.store.tables import UtcDateTime, listed
from app.store.tables_of_work import JOBS

_NAMES = tuple(one.name for one in fields(Job))
# In the order of Job's fields, so that a row is the arguments of a Job.
_FIELDS = tuple(JOBS.c[name] for name in _NAMES)
_ROWS = select(*_FIELDS)
_GET = _ROWS.where(JOBS.c.id == bindparam("job_id"))
_OF = _ROWS.where(
    JOBS.c.owner == bindparam("whose"), JOBS.c.kind == bindparam("what"), JOBS.c.digest == bindparam("content")
)
_INSERT = insert(JOBS)
_DELETE = delete(JOBS).where(JOBS.c.id == bindparam("job_id"))

_LEFT = and_(JOBS.c.status == "running", JOBS.c.lease_until < bindparam("now"))
_GOT_ON = JOBS.c.step > JOBS.c.begun_step
_MAY_BE_BEGUN = or_(
    JOBS.c.status == "queued",
    and_(_LEFT, JOBS.c.cancel_asked.is_(False), or_(_GOT_ON, JOBS.c.attempt < JOBS.c.max_attempts)),
)
_NEXT = (
    select(JOBS.c.id)
    .where(JOBS.c.kind == bindparam("what"), JOBS.c.id.in_(listed("among")), _MAY_BE_BEGUN)
    .order_by(JOBS.c.created_at, JOBS.c.id)
    .limit(1)
)
_CLAIM = (
    update(JOBS)
    .where(JOBS.c.id == _NEXT.correlate(None).scalar_subquery())
    .values(
        status="running",
        token=bindparam("new_token"),
        lease_until=bindparam("until"),
        attempt=case((_GOT_ON, 1), else_=JOBS.c.attempt + 1),
        begun_step=JOBS.c.step,
        begun_at=bindparam("now", type_=UtcDateTime()),
        started_at=func.coalesce(JOBS.c.started_at, bindparam("now", type_=UtcDateTime())),
    )
    .returning(*_FIELDS)
)
_GIVEN_UP = _ROWS.where(
    JOBS.c.kind == bindparam("what"),
    or_(
        and_(
            _LEFT,
            or_(JOBS.c.cancel_asked, and_(JOBS.c.attempt >= JOBS.c.max_attempts, JOBS.c.step <= JOBS.c.begun_step)),
        ),
        and_(JOBS.c.expires_at < bindparam("now"), or_(JOBS.c.status == "queued", _LEFT)),
    ),
)
_FORGETTABLE = select(JOBS.c.id).where(
    JOBS.c.kind == bindparam("what"),
    JOBS.c.expires_at < bindparam("now"),
    JOBS.c.status.in_(("succeeded", "failed", "cancelled")),
)
_UNENDED = (
    select(JOBS.c.id)
    .where(JOBS.c.kind == bindparam("what"), JOBS.c.status.in_(("queued", "running")))
    .order_by(JOBS.c.created_at, JOBS.c.id)
)
_MINE = (JOBS.c.id == bindparam("job_id"), JOBS.c.status == "running", JOBS.c.token == bindparam("held_token"))
_BEAT = update(JOBS).where(*_MINE).values(lease_until=bindparam("until")).returning(JOBS.c.cancel_asked)
_ADVANCE = update(JOBS).where(*_MINE).values(step=JOBS.c.step + bindparam("more_steps"))
_RELEASE = update(JOBS).where(*_MINE).values(status="queued", token=None, lease_until=None, attempt=JOBS.c.attempt - 1)
_END = (
    update(JOBS)
    .where(
        JOBS.c.id == bindparam("job_id"),
        JOBS.c.status.in_(("queued", "running")),
        JOBS.c.token.is_not_distinct_from(bindparam("held_token")),
    )
    .values(
        status=bindparam("ending"),
        error=bindparam("problem", type_=JOBS.c.error.type),
        result=bindparam("found", type_=JOBS.c.result.type),
        finished_at=bindparam("at"),
        expires_at=bindparam("until"),
        token=None,
        lease_until=None,
        cancel_asked=False,
    )
)
_ASK_CANCEL = update(JOBS).where(JOBS.c.id == bindparam("job_id"), JOBS.c.status == "running").values(cancel_asked=True)
_GO_ON = (
    update(JOBS)
    .where(JOBS.c.id == bindparam("job_id"), JOBS.c.status != "running")
    .values(
        status="queued",
        error=None,
        result=None,
        finished_at=None,
        token=None,
        lease_until=None,
        cancel_asked=False,
        attempt=0,
        begun_step=JOBS.c.step,
        begun_at=None,
        expires_at=bindparam("until"),
    )
)
_DO_NOT_CANCEL = (
    update(JOBS).where(JOBS.c.id == bindparam("job_id"), JOBS.c.status == "running").values(cancel_asked=False)
)
_COUNT_ANEW = (
    update(JOBS).where(JOBS.c.id == bindparam("job_id")).values(step=bindparam("done"), steps=bindparam("all"))
)


class SqlJobs:
    """Fits `ports.Jobs`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, job: Job) -> None:
        """Inserts."""
        values = {name: getattr(job, name) for name in _NAMES}
        values["parameters"] = dict(job.parameters)
        values["result"] = None if job.result is None else dict(job.result)
        self._connection.execute(_INSERT, values)

    def get(self, job_id: str) -> Job | None:
        """The job, or None."""
        return _job(self._connection.execute(_GET, {"job_id": job_id}).first())

    def of(self, owner: str, kind: str, digest: str) -> Job | None:
        """That owner's job of that content, or None."""
        which = {"whose": owner, "what": kind, "content": digest}
        return _job(self._connection.execute(_OF, which).first())

    def waiting(self, kind: str, among: Sequence[str], now: datetime) -> bool:
        """Whether `claim` would find one; asks without writing."""
        which = {"what": kind, "among": json.dumps(list(among)), "now": now}
        return self._connection.execute(_NEXT, which).first() is not None

    def claim(self, kind: str, among: Sequence[str], *, token: str, now: datetime, until: datetime) -> Job | None:
        """Begins an attempt at the oldest of these that is queued or was left, by one statement; None: none is."""
        which = {"what": kind, "among": json.dumps(list(among)), "now": now, "new_token": token, "until": until}
        return _job(self._connection.execute(_CLAIM, which).first())

    def beat(self, job_id: str, token: str, until: datetime) -> bool | None:
        """Renews the lease; whether it shall be cancelled, or None where the attempt has lost the job."""
        values = {"job_id": job_id, "held_token": token, "until": until}
        return self._connection.execute(_BEAT, values).scalar()

    def advance(self, job_id: str, token: str, by: int = 1) -> bool:
        """Counts steps; False where the attempt has lost the job."""
        values = {"job_id": job_id, "held_token": token, "more_steps": by}
        return self._connection.execute(_ADVANCE, values).rowcount > 0

    def release(self, job_id: str, token: str) -> bool:
        """Queues it again for whoever comes next, as if this attempt had not been made."""
        return self._connection.execute(_RELEASE, {"job_id": job_id, "held_token": token}).rowcount > 0

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
        """Ends it; `token` as its row has it, None for one that is queued. False where the row has another by now."""
        values = {"job_id": job_id, "held_token": token, "ending": status, "problem": error, "found": result}
        return self._connection.execute(_END, {**values, "at": at, "until": expires_at}).rowcount > 0

    def unended(self, kind: str) -> list[str]:
        """The ids of those that are queued or running, oldest first."""
        return list(self._connection.execute(_UNENDED, {"what": kind}).scalars())

    def ask_cancel(self, job_id: str) -> None:
        """Tells whoever works on it to stop."""
        self._connection.execute(_ASK_CANCEL, {"job_id": job_id})

    def go_on(self, job_id: str, expires_at: datetime) -> None:
        """Queues it again, its attempts counted from none; one that is worked on just goes on, uncancelled."""
        if not self._connection.execute(_GO_ON, {"job_id": job_id, "until": expires_at}).rowcount:
            self._connection.execute(_DO_NOT_CANCEL, {"job_id": job_id})

    def count_anew(self, job_id: str, step: int, steps: int) -> None:
        """Writes how many steps there are and how many are done."""
        self._connection.execute(_COUNT_ANEW, {"job_id": job_id, "done": step, "all": steps})

    def given_up(self, kind: str, now: datetime) -> list[Job]:
        """Those that nobody will begin again: left when cancelled, left too often, or not ended when they expired."""
        found = self._connection.execute(_GIVEN_UP, {"what": kind, "now": now}).all()
        return [Job(*row) for row in found]

    def forget(self, kind: str, now: datetime) -> list[str]:
        """Deletes those that ended and have expired, with their items; their ids."""
        ids = list(self._connection.execute(_FORGETTABLE, {"what": kind, "now": now}).scalars())
        for job_id in ids:
            self._connection.execute(_DELETE, {"job_id": job_id})
        return ids


def _job(row: Sequence[Any] | None) -> Job | None:
    return None if row is None else Job(*row)
