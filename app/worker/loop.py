"""The loop of one process that claims jobs of a kind and works on them: claim -> run -> end, and tidies up beside."""

import threading
import time
from collections.abc import Callable
from typing import Generic, Protocol

from typing_extensions import TypeVar

from app.domain.job import Job

POLL_S = 2.0
TIDY_S = 60.0
LONGEST_PAUSE_S = 60.0

# What is worked on: a row of one kind of job or another.
J = TypeVar("J", default=Job)


class Work(Protocol[J]):
    """What the loop does, each part in its thread."""

    def waits(self) -> list[str]:
        """The jobs that this process could work on; asked often, and free where there is none."""
        ...

    def claim(self, among: list[str]) -> J | None:
        """Begins an attempt at one of them, if it may be begun now."""
        ...

    def run(self, job: J, stop: threading.Event) -> None:
        """Works on it until its end, or until `stop` is set."""
        ...

    def sweep(self) -> object:
        """What must follow an erasure soon."""
        ...

    def tidy(self) -> None:
        """What can wait for a minute."""
        ...


class JobLoop(Generic[J]):
    """One thread that works on one job at a time, and one that sweeps and tidies up, from `start` to `stop`.

    name: of the kind, for the threads. may_begin: whether new work may be begun now. report: told what went wrong, by
    either thread; that one then waits, longer each time, and goes on. wake: set by others to have it look for work now.
    poll_s: seconds between looks for work, and between sweeps, which go on while a job runs; tidy_s: between tidyings.
    """

    def __init__(
        self,
        work: Work[J],
        *,
        name: str = "batches",
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
        self._threads = (
            threading.Thread(target=self._loop, name=name, daemon=True),
            # A job may run for hours, and who is erased by another process meanwhile must not wait for its end.
            threading.Thread(target=self._keep_tidy, name=f"{name}-tidy", daemon=True),
        )

    def start(self) -> None:
        """Begins to look for work."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Has it stop after the step at hand; the job is queued again for whoever comes next. Does not wait."""
        self._stop.set()
        self._wake.set()

    def join(self, timeout_s: float) -> bool:
        """Waits for the end of both threads; False when it has not come in time."""
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _loop(self) -> None:
        pause_s = self._poll_s
        while not self._stop.is_set():
            try:
                while not self._stop.is_set() and self._may_begin() and self._one():
                    pass
                pause_s = self._poll_s
            except Exception as e:  # whatever it was, the next job, or the same one later, may go well
                self._report(e)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            self._wake.wait(pause_s)
            self._wake.clear()

    def _keep_tidy(self) -> None:
        pause_s, tidy_at = self._poll_s, 0.0
        while not self._stop.is_set():
            try:
                if self._may_begin():
                    if time.monotonic() >= tidy_at:
                        tidy_at = time.monotonic() + self._tidy_s
                        self._work.tidy()
                    if not self._stop.is_set():
                        self._work.sweep()
                pause_s = self._poll_s
            except Exception as e:  # the photos are still to be overwritten: it is tried again
                self._report(e)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            self._stop.wait(pause_s)

    def _one(self) -> bool:
        among = self._work.waits()
        if not among:
            return False
        job = self._work.claim(among)
        if job is None:
            return False
        self._work.run(job, self._stop)
        return True
