"""A render that was claimed -> its file, with previews, progress and checkpoints on the way."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.actions.jobs import Told
from app.actions.style.attempt import Attempt, FilesGone
from app.actions.style.claim import LEASE_S
from app.actions.style.lease import Halted, StyleLease
from app.actions.style.telling import end, tell_again
from app.domain.job import Status
from app.domain.style_job import StyleJob
from app.errors import OnelookError, Refused, Unavailable
from app.ports import Renderer, Store, StyleFiles

# How often, and with what pause, an ending is written anew where the database is away.
TRIES, PAUSE_S = 30, 1.0
FILES_GONE = {"code": "files_gone", "detail": "The files of the render are not here: send it again."}


@dataclass(frozen=True, slots=True)
class RunStyle:
    """Works on a render that was claimed, until its end.

    Writes progress and events at most twice a second, previews, checkpoints, and in the end the file, each published by
    a write that only the attempt which holds the lease can make. told: an error as its row keeps it. report: told what
    went wrong. An error of the asking ends the job; any other is tried again, three attempts that keep
    nothing new. Raises what the
    store raises where not even that can be written; then the lease runs out, and the job is begun again.
    """

    store: Store
    files: StyleFiles
    renderer: Renderer
    told: Told
    kept: timedelta
    report: Callable[[str], object]
    lease_s: float = LEASE_S
    ticks: Callable[[], float] = time.monotonic
    pause: Callable[[float], object] = time.sleep

    def __call__(self, job: StyleJob, stop: threading.Event) -> None:
        """stop: once set, a checkpoint is kept, and the job queued again as if this attempt had not been made."""
        lease = StyleLease(self.store, job, stop, report=self.report, lease_s=self.lease_s, ticks=self.ticks)
        with lease:
            attempt = Attempt(self.store, self.files, self.renderer, job, lease, self.report, self.ticks)
            try:
                attempt.render()
            except Halted as halted:
                self._halt(job, attempt, halted)
            except FilesGone:
                self._end(job, attempt, "failed", FILES_GONE)
            except Refused as e:
                self._end(job, attempt, "failed", self._problem(e))
            except Exception as e:
                self._fail(job, attempt, e)
            except BaseException:  # the process ends at once
                self._release(job, counted=False)
                raise
            else:
                self._end(job, attempt, "succeeded")

    def _halt(self, job: StyleJob, attempt: Attempt, halted: Halted) -> None:
        if halted.why != "lost" and not halted.within_step:
            try:
                attempt.keep()
            except (Halted, FilesGone):
                self._leave(job)
                return
            except Exception as e:  # what was kept before counts
                self.report(f"the render {job.id} could not keep its last step: {type(e).__name__}: {e}")
        if halted.why == "cancelled":
            self._end(job, attempt, "cancelled")
        elif halted.why == "stopped":
            self._release(job, counted=False)
        else:
            self._leave(job)

    def _fail(self, job: StyleJob, attempt: Attempt, error: Exception) -> None:
        """Tried again, or ended where that was the last attempt."""
        self.report(f"the render {job.id} failed in its attempt {job.attempt}: {type(error).__name__}: {error}")
        problem = self._problem(error)
        if attempt.attempts >= job.max_attempts:
            self._end(job, attempt, "failed", problem)
        else:
            self._release(job, counted=True, error=problem)

    def _problem(self, error: Exception) -> dict[str, Any]:
        if isinstance(error, OnelookError):
            code, detail, members = self.told(error)
            return {"code": code, "detail": detail, **members}
        if isinstance(error, MemoryError):
            return {"code": "internal", "detail": "The memory was not enough: ask for a smaller `size`."}
        # The text may tell of what lies where: it goes to the log alone.
        return {"code": "internal", "detail": f"The render failed ({type(error).__name__}): the log says more."}

    def _end(self, job: StyleJob, attempt: Attempt, status: Status, error: dict[str, Any] | None = None) -> None:
        def write() -> bool:
            with self.store.write() as uow:
                done = attempt.end(uow, status, self.kept, error)
                if done:
                    uow.commit()
            return done

        if not self._surely(write):
            self._leave(job)
            return
        with self.store.read() as uow:
            ended = uow.style_jobs.get(job.id)
        if ended is not None:
            self.files.keep_only(job.id, ended.files)

    def _release(self, job: StyleJob, *, counted: bool, error: dict[str, Any] | None = None) -> None:
        def write() -> bool:
            with self.store.write() as uow:
                done = uow.style_jobs.release(job.id, job.token, counted=counted, error=error)
                if done and tell_again(uow, job.id).cancel_asked:
                    end(uow, job, "cancelled", self.kept)
                if done:
                    uow.commit()
            return done

        if not self._surely(write):
            self._leave(job)

    def _leave(self, job: StyleJob) -> None:
        """The job is another's, or nobody's: what this attempt wrote, and no row names, goes."""
        with self.store.read() as uow:
            now = uow.style_jobs.get(job.id)
        if now is None:
            self.files.remove(job.id)
            return
        for name in self.files.names(job.id):
            if name.startswith(f"{job.token}/") and name not in now.files:
                self.files.drop(job.id, name)

    def _surely(self, write: Callable[[], bool]) -> bool:
        """Tries again while the database is away. Raises what it raises in the end."""
        for left in reversed(range(TRIES)):
            try:
                return write()
            except Unavailable:
                if not left:
                    raise
                self.pause(PAUSE_S)
        raise AssertionError("the last try has returned or raised")
