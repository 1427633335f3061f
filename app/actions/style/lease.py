"""One attempt's hold on a render: renewed while steps are made, lost to whoever comes next."""

import threading
import time
from collections.abc import Callable
from typing import Literal

from app.actions.style.claim import LEASE_S
from app.domain.style_job import StyleJob
from app.errors import Unavailable
from app.ports import Store

BEAT_S = 5.0
LOOK_S = 1.0
# Whoever makes no step for ten times as long as one takes hangs, and shall lose the lease.
STALL_STEPS, LEAST_STALL_S = 10, 60.0
# Until the first step is made: a network is loaded, and files are decoded.
FIRST_STALL_S = 300.0
# How long the step at hand may go on once the process shall stop.
LAST_STEP_S = 5.0

Why = Literal["stopped", "cancelled", "lost"]


class Halted(Exception):
    """The attempt shall not go on."""

    def __init__(self, why: Why, *, within_step: bool) -> None:
        super().__init__(why)
        self.why: Why = why
        self.within_step = within_step


class StyleLease:
    """Within it a thread renews the lease while `beat` and `stepped` are called, and hears of cancellation and loss.

    stop: once set, the attempt shall end soon. ticks: seconds that only grow. report: told where it hangs.
    """

    def __init__(
        self,
        store: Store,
        job: StyleJob,
        stop: threading.Event,
        *,
        report: Callable[[str], object],
        lease_s: float = LEASE_S,
        beat_s: float = BEAT_S,
        look_s: float = LOOK_S,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._job, self._stop, self._report = store, job, stop, report
        self._lease_s, self._beat_s, self._look_s, self._ticks = lease_s, beat_s, look_s, ticks
        self._why: Why | None = None
        self._over = threading.Event()
        self._alive_at = self._beaten_at = self._stepped_at = ticks()
        self._stop_seen_at: float | None = None
        self._hangs = False
        #: Seconds that a step takes, of late; None before the first.
        self.step_s: float | None = None
        self._thread = threading.Thread(target=self._keep, name=f"lease-{job.id}", daemon=True)

    def __enter__(self) -> "StyleLease":
        """Begins to renew."""
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        """Renews no more."""
        self._over.set()
        self._thread.join()

    def beat(self) -> None:
        """Called within a step, several times. Raises Halted."""
        self._alive_at = self._ticks()
        if self._why is not None:
            raise Halted(self._why, within_step=True)
        if self._stop.is_set():
            # A step that ends soon is worth waiting for: then nothing is lost.
            if self._stop_seen_at is None:
                self._stop_seen_at = self._alive_at
            if self._alive_at - self._stop_seen_at > LAST_STEP_S:
                raise Halted("stopped", within_step=True)

    def stepped(self) -> None:
        """Called after each step: measures it."""
        now = self._ticks()
        took_s = now - self._stepped_at
        self.step_s = took_s if self.step_s is None else 0.8 * self.step_s + 0.2 * took_s
        self._alive_at = self._stepped_at = now

    def between(self) -> None:
        """Called between steps. Raises Halted."""
        if self._why is not None:
            raise Halted(self._why, within_step=False)
        if self._stop.is_set():
            raise Halted("stopped", within_step=False)

    def hear(self, cancel: bool | None) -> None:
        """Takes note of what a fenced write answered."""
        if cancel is None:
            self._why = "lost"
        elif cancel and self._why is None:
            self._why = "cancelled"

    def look(self) -> None:
        """Asks whether the lease still holds, and renews it where that is due and steps are made."""
        with self._store.read() as uow:
            job = uow.style_jobs.get(self._job.id)
        mine = job is not None and (job.status, job.token) == ("running", self._job.token)
        self.hear(job.cancel_asked if job is not None and mine else None)
        now = self._ticks()
        if self._stalls(now) or now - self._beaten_at < self._beat_s or not mine:
            return
        with self._store.write() as uow:
            self.hear(uow.style_jobs.beat(self._job.id, self._job.token, self._lease_s))
            uow.commit()
        self._beaten_at = now

    def _stalls(self, now: float) -> bool:
        limit_s = FIRST_STALL_S if self.step_s is None else max(LEAST_STALL_S, STALL_STEPS * self.step_s)
        stalls = now - self._alive_at > limit_s
        if stalls and not self._hangs:
            self._report(f"the render {self._job.id} hangs: its lease is not renewed")
        self._hangs = stalls
        return stalls

    def _keep(self) -> None:
        while not self._over.wait(self._look_s):
            try:
                self.look()
            except Unavailable:  # the database is away: the lease holds for a while, and then the rows tell
                continue
            except Exception as e:  # whatever it was, the lease must be asked for again
                self._report(f"the lease of the render {self._job.id} could not be renewed: {type(e).__name__}")
