"""Rows of the audit trail for which nobody waits: they are queued, and one thread writes them in groups."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime

from app.domain.actor import SERVICE
from app.domain.audit import Entry, Link
from app.ports import Clock, Store, UnitOfWork

Report = Callable[[str], object]
to_log: Report = logging.getLogger(__name__).warning

MOST, GROUP, PAUSE_S, LONGEST_PAUSE_S = 20_000, 500, 0.2, 5.0
CLOSING_PAUSE_S = 0.05
LOST = "audit.lost"


class NoTrail:
    """Fits `ports.Trail`: for an action whose acts are not written down."""

    def note(self, entry: Entry) -> None:
        """Lets it pass."""


NO_TRAIL = NoTrail()


class QueuedTrail:
    """Fits `ports.Trail`. Thread-safe; the thread starts with the first entry.

    It commits every `pause_s` seconds, or at `group` entries. While the database is away entries wait; beyond `most`
    the oldest in the queue is lost, which is counted, and written as a row `audit.lost` in its place.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        report: Report = to_log,
        *,
        most: int = MOST,
        group: int = GROUP,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._store, self._clock, self._report = store, clock, report
        self._most, self._group, self._pause_s = most, group, pause_s
        self._queue: deque[Entry] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing_at: float | None = None
        # Taken from the queue, and not known to be written; of the thread alone, but for its length.
        self._batch: list[Entry] = []
        self._doubt: Link | None = None
        self._untold = 0
        #: Entries that were lost since the start.
        self.lost = 0

    @property
    def waiting(self) -> int:
        """Entries that are not written yet."""
        return len(self._queue) + len(self._batch)

    def note(self, entry: Entry) -> None:
        """Queues the entry; never waits, never raises. After `close` it is written at once, or lost."""
        with self._changed:
            self._queue.append(entry)
            if self.waiting > self._most:
                self._queue.popleft()
                self.lost += 1
                self._untold += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="trail", daemon=True)
                self._thread.start()
            # The thread sleeps until there is a first entry, and then until there is a whole group.
            if len(self._queue) in (1, self._group):
                self._changed.notify()

    def append_now(self, entry: Entry) -> int:
        """Writes the entry, durably, before it returns; its seq. Raises what the store raises."""
        with self._store.write() as uow:
            seq = _append(uow, (entry,))
            uow.commit()
        return seq

    def close(self, grace_s: float) -> bool:
        """Writes what waits, for `grace_s` seconds at most; whether all of it was written."""
        with self._changed:
            self._closing_at = time.monotonic() + grace_s
            thread, self._thread = self._thread, None
            self._changed.notify()
        if thread is not None:
            thread.join(grace_s + 1)
        if left := self.waiting:
            self._report(f"the audit trail lost {left} rows: the database could not be written before the end")
        return not left

    def _run(self) -> None:
        while self._sleep():
            self._take()
            pause_s = self._pause_s
            while self._batch:
                try:
                    self._write()
                except Exception as e:  # whatever it is, the rows wait: they are all that is known of these acts
                    if pause_s == self._pause_s:
                        self._report(f"the audit trail cannot be written now, and waits: {type(e).__name__}")
                    if not self._rest(pause_s):
                        return
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _sleep(self) -> bool:
        """Until a group is due; False once the trail is closed and nothing waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing_at is not None)
            self._changed.wait_for(
                lambda: len(self._queue) >= self._group or self._closing_at is not None, self._pause_s
            )
            return bool(self._queue)

    def _take(self) -> None:
        with self._changed:
            lost, self._untold = self._untold, 0
            told = [Entry(LOST, self._clock.now(), facts={"rows": lost}, actor=SERVICE)] if lost else []
            taken = [self._queue.popleft() for _ in range(min(self._group, len(self._queue)))]
            self._batch = told + taken

    def _rest(self, pause_s: float) -> bool:
        """After a failure; False when the time to close is over."""
        with self._changed:
            if self._closing_at is None:
                self._changed.wait_for(lambda: self._closing_at is not None, pause_s)
                return True
        time.sleep(min(pause_s, CLOSING_PAUSE_S))
        return time.monotonic() < self._closing_at

    def _write(self) -> None:
        with self._store.write() as uow:
            if self._doubt is None or not _stands(uow, self._doubt):
                _append(uow, self._batch)
                # A commit that fails may yet have been made: then the batch must not be written twice.
                self._doubt = uow.audit.last()
                uow.commit()
        with self._changed:
            self._batch, self._doubt = [], None


def _append(uow: UnitOfWork, entries: Sequence[Entry]) -> int:
    seen: dict[str, datetime] = {}
    for entry in entries:
        if entry.seen and entry.person_id is not None:
            seen[entry.person_id] = max(entry.at, seen.get(entry.person_id, entry.at))
    seq = uow.audit.append(*entries)
    uow.sightings.note(seen)
    return seq


def _stands(uow: UnitOfWork, place: Link) -> bool:
    return any(line.mac == place.mac for line in uow.audit.lines(place.seq - 1, 1))
