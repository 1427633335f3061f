"""A batch that was claimed -> each of its photos enrolled or refused, while others go before it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

from app.actions.batch_item import EnrollItem, Take
from app.actions.jobs import LOOK_S, Lease, Told, owner_of
from app.domain.actor import acting_as
from app.domain.batch import BatchItem, Outcome
from app.domain.gallery import Within
from app.domain.job import Job, Overtaken
from app.errors import NotAcknowledged, ShuttingDown, Unavailable
from app.ports import Clock, Store

PIECE = 500
LEAST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0

Settled = Callable[[BatchItem, Outcome], object]


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
            attempt.run(at_once)
        except Overtaken:
            return
        except KeyboardInterrupt:
            attempt.lease.stop_for("stopped")
            self._end(attempt.lease)
            raise
        self._end(attempt.lease)

    def _end(self, lease: Lease) -> None:
        with self.store.write() as uow:
            done = lease.end(uow, self.kept, self.told)
            uow.commit()
        if done:
            self.ended(lease.job.id)


class _Attempt:
    """One attempt at one job, in the threads of its own pool."""

    def __init__(self, run: RunBatch, job: Job, take: Take, stop: threading.Event, settled: Settled) -> None:
        self._run = run
        self._job = job
        self._take = take
        self._settled = settled
        self._within: Within = None
        self.lease = Lease(run.store, run.clock, job, stop, self._check_owner)

    def run(self, at_once: int) -> None:
        """Until its end, or until the lease is halted. Raises Overtaken, and what keeps items from being written."""
        self.lease.check()
        people = self._people()
        running: set[Future[None]] = set()
        halted = self.lease.halted
        with ThreadPoolExecutor(at_once, thread_name_prefix="batch") as pool:
            try:
                while True:
                    while len(running) < 2 * at_once and not halted.is_set() and (items := next(people, None)):
                        running.add(pool.submit(self._person, items))
                    if not running:
                        return
                    done, running = wait(running, LOOK_S, FIRST_COMPLETED)
                    for future in done:
                        future.result()
                    self.lease.look()
            except BaseException:
                halted.set()
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
                if self.lease.halted.is_set():
                    return
                outcome = self._item(item)
                if outcome is not None:
                    self._settled(item, outcome)

    def _item(self, item: BatchItem) -> Outcome | None:
        """What became of it; None when the attempt was halted first, or the person erased."""
        pause_s = LEAST_PAUSE_S
        halted = self.lease.halted
        while not halted.is_set():
            self.lease.make_way(self._run.waiting)
            try:
                return self._run.enroll_item(self._job, item, self._take, self._within)
            except ShuttingDown:
                self.lease.stop_for("stopped")
            except Unavailable as e:
                if isinstance(e, NotAcknowledged) and not self._run.enroll_item.is_pending(self._job, item):
                    return None
                halted.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        return None

    def _check_owner(self) -> None:
        self._within = owner_of(self._run.store, self._run.clock, self._job, "enroll")
