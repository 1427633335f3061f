"""A batch that was claimed -> each of its photos enrolled or refused, while others go before it."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any, Literal

from app.actions.authenticate import demand
from app.actions.batch_item import EnrollItem, Take, Told
from app.domain.actor import LOCAL, acting_as
from app.domain.batch import BatchItem, Outcome
from app.domain.gallery import Within
from app.domain.job import ENROLL_BATCH, Job, Overtaken, Status
from app.errors import BadKey, Denied, ExpiredKey, NotAcknowledged, ShuttingDown, Unavailable
from app.ports import Clock, Identifiers, Store

LEASE_S = 15.0
BEAT_S = 2.0
LOOK_S = 0.5
# No photo takes that long: whoever hangs does not renew the lease.
STALL_S = 300.0
PIECE = 500
LEAST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
# How long one photo makes way for others at most.
WAY_S = 1.0

Settled = Callable[[BatchItem, Outcome], object]
Halt = Literal["stopped", "cancelled", "denied"]


@dataclass(frozen=True, slots=True)
class ClaimBatch:
    """Begins an attempt at the oldest batch that waits, or that whoever worked on it has left. One statement."""

    store: Store
    clock: Clock
    identifiers: Identifiers

    def __call__(self, among: list[str]) -> Job | None:
        """One of these jobs, its lease ours; None when none waits."""
        now = self.clock.now()
        with self.store.read() as uow:
            if not among or not uow.jobs.waiting(ENROLL_BATCH, among, now):
                return None
        with self.store.write() as uow:
            until = now + timedelta(seconds=LEASE_S)
            job = uow.jobs.claim(ENROLL_BATCH, among, token=self.identifiers.secret(), now=now, until=until)
            uow.commit()
        return job


@dataclass(frozen=True, slots=True)
class RunBatch:
    """Works through the items of a batch that wait, person by person, and ends the job.

    The photos of one person come one after the other, those of several persons at once. waiting: pictures that wait to
    be read; while there are any, the batch makes way. ended: told of a job that this ended, which somebody may have
    sent again by then. Writes each item with what became of it. Raises what the store raises when not even that can be
    written; then the lease runs out, and the job is begun again.
    """

    store: Store
    enroll_item: EnrollItem
    told: Told
    clock: Clock
    kept: timedelta
    waiting: Callable[[], int]
    ended: Callable[[str], object]

    def __call__(
        self,
        job: Job,
        take: Take,
        *,
        at_once: int,
        stop: threading.Event,
        settled: Settled = lambda item, outcome: None,
    ) -> None:
        """at_once: persons whose photos are read at the same time; stop, once set, queues the job again soon."""
        attempt = _Attempt(self, job, take, stop, settled)
        try:
            halt = attempt.run(at_once)
        except Overtaken:
            return
        except KeyboardInterrupt:
            self._end(job, "stopped", None)
            raise
        self._end(job, halt, attempt.denied)

    def owner(self, job: Job) -> Within:
        """The galleries that the owner's key is bound to. Raises Denied when it may not enrol any more."""
        if job.owner == LOCAL:
            return None
        with self.store.read() as uow:
            key = uow.keys.get(job.owner)
        if key is None or key.revoked_at is not None:
            raise BadKey
        if key.expires_at is not None and key.expires_at <= self.clock.now():
            raise ExpiredKey
        demand(key, "enroll")
        return key.galleries

    def _end(self, job: Job, halt: Halt | None, denied: Denied | None) -> None:
        now = self.clock.now()
        with self.store.write() as uow:
            if halt == "stopped":
                uow.jobs.release(job.id, job.token or "")
                uow.commit()
                return
            ending: Status = "succeeded" if halt is None else "cancelled" if halt == "cancelled" else "failed"
            error: dict[str, Any] | None = None
            if denied is not None:
                code, detail, members = self.told(denied)
                error = {"code": code, "detail": detail, **members}
            done = uow.jobs.end(job.id, ending, token=job.token, at=now, expires_at=now + self.kept, error=error)
            uow.commit()
        if done:
            self.ended(job.id)


class _Attempt:
    """One attempt at one job, in the threads of its own pool."""

    def __init__(self, run: RunBatch, job: Job, take: Take, stop: threading.Event, settled: Settled) -> None:
        self._run = run
        self._job = job
        self._take = take
        self._stop = stop
        self._settled = settled
        self._within: Within = None
        self._halt: Halt | None = None
        self._halted = threading.Event()
        self._alive_at = self._beaten_at = time.monotonic()
        self.denied: Denied | None = None

    def run(self, at_once: int) -> Halt | None:
        """Why it was halted before the end, or None. Raises Overtaken, and what keeps items from being written."""
        self._check_owner()
        people = self._people()
        running: set[Future[None]] = set()
        with ThreadPoolExecutor(at_once, thread_name_prefix="batch") as pool:
            try:
                while True:
                    while len(running) < 2 * at_once and not self._halted.is_set() and (items := next(people, None)):
                        running.add(pool.submit(self._person, items))
                    if not running:
                        return self._halt
                    done, running = wait(running, LOOK_S, FIRST_COMPLETED)
                    for future in done:
                        future.result()
                    self._look()
            except BaseException:
                self._halted.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _people(self) -> Iterator[list[BatchItem]]:
        """The items that wait, together for each person."""
        for _, items in groupby(self._pending(), lambda item: item.person):
            yield list(items)

    def _pending(self) -> Iterator[BatchItem]:
        after = -1
        while True:
            with self._run.store.read() as uow:
                piece = uow.batches.page(self._job.id, status="pending", after=after, limit=PIECE)
            if not piece:
                return
            yield from piece
            after = piece[-1].number

    def _person(self, items: list[BatchItem]) -> None:
        with acting_as(self._job.owner):
            for item in items:
                if self._halted.is_set():
                    return
                outcome = self._item(item)
                if outcome is not None:
                    self._settled(item, outcome)

    def _item(self, item: BatchItem) -> Outcome | None:
        """What became of it; None when the attempt was halted first, or the person erased."""
        pause_s = LEAST_PAUSE_S
        while not self._halted.is_set():
            self._make_way()
            self._alive_at = time.monotonic()
            try:
                return self._run.enroll_item(self._job, item, self._take, self._within)
            except ShuttingDown:
                self._stop_for("stopped")
            except Unavailable as e:
                if isinstance(e, NotAcknowledged) and not self._run.enroll_item.is_pending(self._job, item):
                    return None
                self._halted.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        return None

    def _make_way(self) -> None:
        until = time.monotonic() + WAY_S
        while self._run.waiting() and time.monotonic() < until and not self._halted.is_set():
            self._halted.wait(0.01)

    def _look(self) -> None:
        """Renews the lease while somebody is getting on, and hears whether to stop. Raises Overtaken."""
        if self._stop.is_set():
            self._stop_for("stopped")
        now = time.monotonic()
        if now - self._beaten_at < BEAT_S or now - self._alive_at > STALL_S:
            return
        try:
            self._beat()
        except Unavailable:  # the database is away: the lease holds for a while, and then the items tell
            return
        self._beaten_at = now

    def _beat(self) -> None:
        until = self._run.clock.now() + timedelta(seconds=LEASE_S)
        with self._run.store.write() as uow:
            cancel = uow.jobs.beat(self._job.id, self._job.token or "", until)
            uow.commit()
        if cancel is None:
            raise Overtaken
        if cancel:
            self._stop_for("cancelled")
        self._check_owner()

    def _check_owner(self) -> None:
        try:
            self._within = self._run.owner(self._job)
        except Denied as e:
            self.denied = e
            self._stop_for("denied")

    def _stop_for(self, why: Halt) -> None:
        self._halt = self._halt or why
        self._halted.set()
