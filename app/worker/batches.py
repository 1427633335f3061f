"""The loop of one process that claims batches and works on them: claim -> run -> end, and tidy up in between."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

from app.domain.job import Job

POLL_S = 2.0
TIDY_S = 60.0
LONGEST_PAUSE_S = 60.0


class Work(Protocol):
    """What the loop does, each part in its thread."""

    def waits(self) -> list[str]:
        """The jobs that this process could work on; asked often, and free where there is none."""
        ...

    def claim(self, among: list[str]) -> Job | None:
        """Begins an attempt at one of them, if it may be begun now."""
        ...

    def run(self, job: Job, stop: threading.Event) -> None:
        """Works on it until its end, or until `stop` is set."""
        ...

    def sweep(self) -> object:
        """What must follow an erasure soon."""
        ...

    def tidy(self) -> None:
        """What can wait for a minute."""
        ...


class BatchLoop:
    """One thread that works on one job at a time, from `start` to `stop`.

    may_begin: whether new work may be begun now. report: told what went wrong; the loop then waits, longer each time,
    and goes on. wake: set by others to have it look now.
    """

    def __init__(
        self,
        work: Work,
        *,
        may_begin: Callable[[], bool],
        report: Callable[[BaseException], object],
        wake: threading.Event | None = None,
        poll_s: float = POLL_S,
        tidy_s: float = TIDY_S,
    ) -> None:
        self._work = work
        self._may_begin = may_begin
        self._report = report
        self._poll_s = poll_s
        self._tidy_s = tidy_s
        self._stop = threading.Event()
        self._wake = wake or threading.Event()
        self._thread = threading.Thread(target=self._loop, name="batches", daemon=True)

    def start(self) -> None:
        """Begins to look for work."""
        self._thread.start()

    def stop(self) -> None:
        """Has it stop after the photos at hand; the job is queued again for whoever comes next. Does not wait."""
        self._stop.set()
        self._wake.set()

    def join(self, timeout_s: float) -> bool:
        """Waits for its end; False when it has not come in time."""
        if self._thread.ident is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        pause_s, tidy_at = self._poll_s, 0.0
        while not self._stop.is_set():
            try:
                if self._may_begin():
                    if time.monotonic() >= tidy_at:
                        tidy_at = time.monotonic() + self._tidy_s
                        self._work.tidy()
                    while not self._stop.is_set() and self._may_begin() and self._one():
                        pass
                pause_s = self._poll_s
            except Exception as e:  # whatever it was, the next job, or the same one later, may go well
                self._report(e)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            self._wake.wait(pause_s)
            self._wake.clear()

    def _one(self) -> bool:
        among = self._work.waits()
        if not among:
            return False
        self._work.sweep()
        job = self._work.claim(among)
        if job is None:
            return False
        self._work.run(job, self._stop)
        return True
