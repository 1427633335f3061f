"""What every kind of job has in common: begun by a claim, held by a lease, ended once, forgotten in time."""

import contextvars
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar

from app.actions.authenticate import demand
from app.domain.actor import LOCAL
from app.domain.gallery import Within
from app.domain.job import ENROLL_BATCH, Job, Overtaken, Status
from app.domain.key import Key
from app.domain.particulars import is_id
from app.errors import BadKey, Denied, ExpiredKey, OnelookError, Unavailable, UnknownJob
from app.ports import Clock, Identifiers, Store, UnitOfWork

MOST_ATTEMPTS = 5
LEASE_S = 15.0
BEAT_S = 2.0
LOOK_S = 0.5
# No step takes that long: whoever hangs does not renew the lease.
STALL_S = 300.0
# How long one step makes way for others at most.
WAY_S = 1.0

# An error -> its code, its detail, and the members that a row may keep.
Told = Callable[[OnelookError], tuple[str, str, Mapping[str, Any]]]
Halt = Literal["stopped", "cancelled", "denied"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ClaimJob:
    """Begins an attempt at the oldest job that waits, or that whoever worked on it has left. One statement."""

    store: Store
    clock: Clock
    identifiers: Identifiers
    kind: str = ENROLL_BATCH

    def __call__(self, among: list[str]) -> Job | None:
        """One of these jobs, its lease ours; None when none waits."""
        now = self.clock.now()
        with self.store.read() as uow:
            if not among or not uow.jobs.waiting(self.kind, among, now):
                return None
        with self.store.write() as uow:
            until = now + timedelta(seconds=LEASE_S)
            job = uow.jobs.claim(self.kind, among, token=self.identifiers.secret(), now=now, until=until)
            uow.commit()
        return job


class Lease:
    """One attempt's hold on a job: renewed while somebody gets on, lost to whoever comes next.

    stop: once set, the attempt shall end soon. check: raises Denied where whoever asked for the job may not any more;
    asked with each renewal. halt, denied: why the attempt was halted; halted: set then.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        job: Job,
        stop: threading.Event,
        check: Callable[[], object] = lambda: None,
    ) -> None:
        self._store, self._clock, self._check, self._stop = store, clock, check, stop
        self.job = job
        self.token = job.token or ""
        self.halt: Halt | None = None
        self.denied: Denied | None = None
        self.halted = threading.Event()
        self._alive_at = self._beaten_at = time.monotonic()

    def get_on(self) -> None:
        """Told by whoever works on it that a step is begun."""
        self._alive_at = time.monotonic()

    def look(self) -> None:
        """Renews the lease while somebody is getting on, and hears whether to stop. Raises Overtaken."""
        if self._stop.is_set():
            self.stop_for("stopped")
        now = time.monotonic()
        if now - self._beaten_at < BEAT_S or now - self._alive_at > STALL_S:
            return
        try:
            self._beat()
        except Unavailable:  # the database is away: the lease holds for a while, and then the rows tell
            return
        self._beaten_at = now

    def check(self) -> None:
        """Halts the attempt where whoever asked for the job may not any more."""
        try:
            self._check()
        except Denied as e:
            self.denied = e
            self.stop_for("denied")

    def stop_for(self, why: Halt) -> None:
        """Halts the attempt; the first reason counts."""
        self.halt = self.halt or why
        self.halted.set()

    def hold(self, work: Callable[[], T]) -> T:
        """Runs the work in a thread of its own, and renews the lease meanwhile. Raises Overtaken, and what it raises.

        The work asks `halted` between its steps.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="job") as pool:
            running = pool.submit(contextvars.copy_context().run, work)
            try:
                while True:
                    done, _ = wait([running], LOOK_S)
                    if done:
                        return running.result()
                    self.look()
            finally:
                self.halted.set()

    def make_way(self, waiting: Callable[[], int]) -> None:
        """Waits a while for pictures that somebody at a door waits for."""
        until = time.monotonic() + WAY_S
        while waiting() and time.monotonic() < until and not self.halted.is_set():
            self.halted.wait(0.01)
        self.get_on()

    def advance(self, uow: UnitOfWork, by: int = 1) -> None:
        """Counts steps, as part of a transaction that fails where the attempt has lost the job. Raises Overtaken."""
        if not uow.jobs.advance(self.job.id, self.token, by):
            raise Overtaken

    def end(self, uow: UnitOfWork, kept: timedelta, told: Told, *, error: OnelookError | None = None) -> bool:
        """Ends the job as it was halted, or failed, or came to its end, or queues it again where the process stops.

        As part of a transaction; whether it has ended now.
        """
        if self.halt == "stopped" and error is None:
            uow.jobs.release(self.job.id, self.token)
            return False
        error = error or self.denied
        ending: Status = "failed" if error is not None else "cancelled" if self.halt == "cancelled" else "succeeded"
        problem: dict[str, Any] | None = None
        if error is not None:
            code, detail, members = told(error)
            problem = {"code": code, "detail": detail, **members}
        now = self._clock.now()
        return uow.jobs.end(self.job.id, ending, token=self.token, at=now, expires_at=now + kept, error=problem)

    def _beat(self) -> None:
        until = self._clock.now() + timedelta(seconds=LEASE_S)
        with self._store.write() as uow:
            cancel = uow.jobs.beat(self.job.id, self.token, until)
            uow.commit()
        if cancel is None:
            raise Overtaken
        if cancel:
            self.stop_for("cancelled")
        self.check()


@dataclass(frozen=True, slots=True)
class JobState:
    """A job, and seconds to its end, None while there is no telling."""

    job: Job
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class FindJob:
    """A job of that kind by its id; only its owner and an admin see it. Raises UnknownJob. Read-only."""

    store: Store
    clock: Clock
    kind: str

    def __call__(self, job_id: str, key: Key) -> JobState:
        """The job as stored now."""
        with self.store.read() as uow:
            job = found_job(uow, job_id, key, self.kind)
            return JobState(job, job.eta_s(self.clock.now()))


@dataclass(frozen=True, slots=True)
class CancelJob:
    """Stops a job after the step at hand; one that ended is left. Raises UnknownJob.

    ended: called with a job that this ended, in the transaction that does.
    """

    store: Store
    clock: Clock
    kind: str
    kept: timedelta
    ended: Callable[[UnitOfWork, Job], object] = lambda uow, job: None

    def __call__(self, job_id: str, key: Key) -> JobState:
        """The job as it stands now: one that is worked on ends within seconds."""
        now = self.clock.now()
        with self.store.write() as uow:
            job = found_job(uow, job_id, key, self.kind)
            if job.is_worked_on(now):
                uow.jobs.ask_cancel(job_id)
            elif not job.ended:
                uow.jobs.end(job_id, "cancelled", token=job.token, at=now, expires_at=now + self.kept)
                self.ended(uow, job)
            uow.commit()
        return FindJob(self.store, self.clock, self.kind)(job_id, key)


def found_job(uow: UnitOfWork, job_id: str, key: Key, kind: str) -> Job:
    """The job of that kind, for its owner and an admin. Raises UnknownJob."""
    job = uow.jobs.get(job_id) if is_id(job_id) else None
    if job is None or job.kind != kind or not (key.holds("admin") or key.id == job.owner):
        raise UnknownJob
    return job


def owner_of(store: Store, clock: Clock, job: Job, scope: str) -> Within:
    """The galleries that the owner's key is bound to. Raises Denied when it may not ask for that any more."""
    if job.owner == LOCAL:
        return None
    with store.read() as uow:
        key = uow.keys.get(job.owner)
    if key is None or key.revoked_at is not None:
        raise BadKey
    if key.expires_at is not None and key.expires_at <= clock.now():
        raise ExpiredKey
    demand(key, scope)
    return key.galleries


def tidy_jobs(store: Store, clock: Clock, kind: str, kept: timedelta, report: Callable[[str], object]) -> None:
    """Ends jobs of that kind that nobody will begin again, and forgets those that have expired."""
    now = clock.now()
    with store.read() as uow:
        given_up = uow.jobs.given_up(kind, now)
    for job in given_up:
        _give_up(store, clock, job, kept, report)
    with store.write() as uow:
        if uow.jobs.forget(kind, now):
            uow.commit()


def _give_up(store: Store, clock: Clock, job: Job, kept: timedelta, report: Callable[[str], object]) -> None:
    now = clock.now()
    cancelled = job.cancel_asked
    detail = (
        "It was not ended in time: send it again to go on."
        if job.expires_at < now
        else f"It was begun {job.attempt} times and never got on: the log says more. Send it again to go on."
    )
    error = None if cancelled else {"code": "internal", "detail": detail}
    with store.write() as uow:
        ending: Status = "cancelled" if cancelled else "failed"
        uow.jobs.end(job.id, ending, token=job.token, at=now, expires_at=now + kept, error=error)
        uow.commit()
    report(f"the job {job.id} was given up: it is {ending}")
