"""Renders in SQL. Each statement says which attempt may make it: a write that touches no row tells that it may not."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, delete, func, insert, or_, select, update

from app.domain.job import Status
from app.domain.style_job import CHANGES, KEPT_EVENTS, PRUNE_EVERY, PRUNED, EventType, StyleEvent, StyleJob
from app.store.tables import listed
from app.store.tables_of_work import STYLE_EVENTS, STYLE_JOBS

_JOB = STYLE_JOBS.c
_EVENT = STYLE_EVENTS.c
_NAMES = tuple(one.name for one in fields(StyleJob))
# In the order of the fields, so that a row is the arguments.
_FIELDS = tuple(_JOB[name] for name in _NAMES)
_ROWS = select(*_FIELDS)
_TIME = {
    # Not that of the transaction's beginning: it may have waited for others to write.
    "postgresql": "SELECT clock_timestamp()",
    "sqlite": "SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')",
}

_HERE = _JOB.home == bindparam("here")
_ONE = _JOB.id == bindparam("job_id")
_MINE = (_ONE, _JOB.status == "running", _JOB.token == bindparam("held_token"))
_LEFT = and_(_JOB.status == "running", _JOB.lease_until < bindparam("now"))
_MAY_BE_BEGUN = and_(
    _HERE, _JOB.cancel_asked.is_(False), or_(_JOB.status == "queued", and_(_LEFT, _JOB.attempt < _JOB.max_attempts))
)
_NEXT = select(_JOB.id).where(_MAY_BE_BEGUN).order_by(_JOB.created_at, _JOB.id).limit(1)
_CLAIM = (
    update(STYLE_JOBS)
    # On SQLite the transaction holds the only write lock, and no row is locked.
    .where(_JOB.id == _NEXT.with_for_update(skip_locked=True).correlate(None).scalar_subquery())
    .values(
        status="running",
        token=_JOB.token + 1,
        lease_until=bindparam("until", type_=_JOB.lease_until.type),
        attempt=_JOB.attempt + 1,
        begun_step=_JOB.step,
        begun_at=bindparam("now", type_=_JOB.begun_at.type),
        started_at=func.coalesce(_JOB.started_at, bindparam("now", type_=_JOB.begun_at.type)),
        steps_per_s=None,
    )
    .returning(*_FIELDS)
)
_BEAT = update(STYLE_JOBS).where(*_MINE).values(lease_until=bindparam("until")).returning(_JOB.cancel_asked)
_GIVEN_UP = _ROWS.where(
    or_(
        and_(_HERE, _JOB.cancel_asked, or_(_JOB.status == "queued", _LEFT)),
        and_(_HERE, _LEFT, _JOB.attempt >= _JOB.max_attempts),
        and_(_JOB.expires_at < bindparam("now"), or_(_JOB.status == "queued", _LEFT)),
    )
)
_ENDED = _JOB.status.in_(("succeeded", "failed", "cancelled"))
_UNENDED = _ROWS.where(_HERE, _JOB.status.in_(("queued", "running"))).order_by(
    case((_JOB.status == "running", 0), else_=1), _JOB.created_at, _JOB.id
)
_DONE_LATELY = _ROWS.where(_HERE, _JOB.status == "succeeded").order_by(_JOB.finished_at.desc()).limit(bindparam("most"))
_TELL = update(STYLE_JOBS).where(_ONE).values(seq=_JOB.seq + 1).returning(_JOB.seq)
_PRUNE = delete(STYLE_EVENTS).where(
    _EVENT.job_id == bindparam("job_id"), _EVENT.type.in_(PRUNED), _EVENT.seq <= bindparam("up_to")
)
_EVENTS = (
    select(*(_EVENT[one.name] for one in fields(StyleEvent)))
    .where(_EVENT.job_id == bindparam("job_id"), _EVENT.seq > bindparam("after"))
    .order_by(_EVENT.seq)
    .limit(bindparam("most"))
)


class SqlStyleJobs:
    """Fits `ports.StyleJobs`. time: in place of the database's, for tests."""

    def __init__(self, connection: Connection, time: Callable[[], datetime] | None = None) -> None:
        self._connection = connection
        self._time = time

    def now(self) -> datetime:
        """The time, by the database's clock."""
        if self._time is not None:
            return self._time()
        told = self._connection.exec_driver_sql(_TIME[self._connection.dialect.name]).scalar_one()
        return told if isinstance(told, datetime) else datetime.fromisoformat(told)

    def add(self, job: StyleJob) -> None:
        """Inserts."""
        values = {name: _plain(getattr(job, name)) for name in _NAMES}
        self._connection.execute(insert(STYLE_JOBS), values)

    def get(self, job_id: str) -> StyleJob | None:
        """The job, or None."""
        return _job(self._connection.execute(_ROWS.where(_ONE), {"job_id": job_id}).first())

    def page(self, *, owner: str | None, status: Status | None, before: str | None, limit: int) -> list[StyleJob]:
        """At most `limit` jobs, the newest first, behind the id `before`; of everybody or of one owner."""
        query = _ROWS.order_by(_JOB.id.desc()).limit(limit)
        for column, value in ((_JOB.owner, owner), (_JOB.status, status)):
            query = query if value is None else query.where(column == value)
        return self._jobs(query if before is None else query.where(_JOB.id < before))

    def count_queued(self, home: str) -> int:
        """How many wait."""
        query = select(func.count()).select_from(STYLE_JOBS).where(_HERE, _JOB.status == "queued")
        return int(self._connection.execute(query, {"here": home}).scalar_one())

    def unended(self, home: str) -> list[StyleJob]:
        """Those that are running, oldest first, then those that wait, in the order in which they are begun."""
        return self._jobs(_UNENDED, here=home)

    def done_lately(self, home: str, limit: int) -> list[StyleJob]:
        """Those that succeeded, the last one first."""
        return self._jobs(_DONE_LATELY, here=home, most=limit)

    def waiting(self, home: str) -> bool:
        """Whether `claim` would find one; asks without writing."""
        return self._connection.execute(_NEXT, {"here": home, "now": self.now()}).first() is not None

    def claim(self, home: str, lease_s: float) -> StyleJob | None:
        """Begins an attempt at the oldest that is queued, or whose lease has run out, by one statement."""
        now = self.now()
        until = now + timedelta(seconds=lease_s)
        return _job(self._connection.execute(_CLAIM, {"here": home, "now": now, "until": until}).first())

    def beat(self, job_id: str, token: int, lease_s: float) -> bool | None:
        """Renews the lease; whether it shall be cancelled, or None where the attempt has lost the job."""
        until = self.now() + timedelta(seconds=lease_s)
        return self._connection.execute(_BEAT, {"job_id": job_id, "held_token": token, "until": until}).scalar()

    def write(self, job_id: str, token: int, **changes: Any) -> bool | None:
        """Changes fields of the row; whether it shall be cancelled, or None where the attempt has lost the job."""
        statement = update(STYLE_JOBS).where(*_MINE).values(_known(changes)).returning(_JOB.cancel_asked)
        return self._connection.execute(statement, {"job_id": job_id, "held_token": token}).scalar()

    def release(self, job_id: str, token: int, *, counted: bool, error: Mapping[str, Any] | None = None) -> bool:
        """Queues it again for whoever comes next. counted: whether the attempt counts as one."""
        values: dict[str, Any] = {"status": "queued", "lease_until": None, "steps_per_s": None}
        values |= {} if counted else {"attempt": _JOB.attempt - 1}
        values |= {} if error is None else {"error": dict(error)}
        statement = update(STYLE_JOBS).where(*_MINE).values(values)
        return self._connection.execute(statement, {"job_id": job_id, "held_token": token}).rowcount > 0

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
        ended = {"status": status, "finished_at": self.now(), "expires_at": expires_at, "error": _plain(error)}
        statement = (
            update(STYLE_JOBS)
            .where(_ONE, _JOB.status.in_(("queued", "running")), _JOB.token == bindparam("held_token"))
            .values(_known(changes) | ended | {"lease_until": None, "cancel_asked": False})
        )
        return self._connection.execute(statement, {"job_id": job_id, "held_token": token}).rowcount > 0

    def ask_cancel(self, job_id: str) -> None:
        """Tells whoever works on it to stop."""
        statement = update(STYLE_JOBS).where(_ONE, _JOB.status == "running").values(cancel_asked=True)
        self._connection.execute(statement, {"job_id": job_id})

    def given_up(self, home: str) -> list[StyleJob]:
        """Those that nobody will begin again."""
        return self._jobs(_GIVEN_UP, here=home, now=self.now())

    def expired(self) -> list[str]:
        """Those that have ended, and whose time is over."""
        query = select(_JOB.id).where(_ENDED, _JOB.expires_at < bindparam("now"))
        return list(self._connection.execute(query, {"now": self.now()}).scalars())

    def of_person(self, person_id: str) -> list[StyleJob]:
        """Those that show that person."""
        return self._jobs(_ROWS.where(_JOB.person_id == bindparam("whose")), whose=person_id)

    def missing(self, job_ids: Sequence[str]) -> list[str]:
        """Those of them that have no row."""
        query = select(_JOB.id).where(_JOB.id.in_(listed("among")))
        known = set(self._connection.execute(query, {"among": json.dumps(list(job_ids))}).scalars())
        return [job_id for job_id in job_ids if job_id not in known]

    def remove(self, job_id: str) -> bool:
        """Deletes the row and its events; False where there is none."""
        return self._connection.execute(delete(STYLE_JOBS).where(_ONE), {"job_id": job_id}).rowcount > 0

    def tell(self, job_id: str, type_: EventType, data: Mapping[str, Any]) -> int:
        """Appends an event; its seq. Old `progress` and `preview` events are let go."""
        seq = int(self._connection.execute(_TELL, {"job_id": job_id}).scalar_one())
        event = {"job_id": job_id, "seq": seq, "type": type_, "data": dict(data), "at": self.now()}
        self._connection.execute(insert(STYLE_EVENTS), event)
        up_to = seq - KEPT_EVENTS
        # Not with each event: many are let go as cheaply as one.
        if up_to > 0 and seq % PRUNE_EVERY == 0:
            self._prune(job_id, up_to)
        return seq

    def events(self, job_id: str, *, after: int, limit: int) -> list[StyleEvent]:
        """At most `limit` events that follow that seq, in order."""
        rows = self._connection.execute(_EVENTS, {"job_id": job_id, "after": after, "most": limit}).all()
        return [StyleEvent(*row) for row in rows]

    def _prune(self, job_id: str, up_to: int) -> None:
        if self._connection.execute(_PRUNE, {"job_id": job_id, "up_to": up_to}).rowcount:
            self._connection.execute(update(STYLE_JOBS).where(_ONE).values(pruned=up_to), {"job_id": job_id})

    def _jobs(self, query: Any, **values: Any) -> list[StyleJob]:
        return [StyleJob(*row) for row in self._connection.execute(query, values)]


def _job(row: Sequence[Any] | None) -> StyleJob | None:
    return None if row is None else StyleJob(*row)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _known(changes: Mapping[str, Any]) -> dict[str, Any]:
    if not CHANGES.issuperset(changes):
        raise ValueError(f"nobody who works on a render changes {', '.join(sorted(set(changes) - CHANGES))}")
    return {name: _plain(value) for name, value in changes.items()}
