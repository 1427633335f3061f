"""Renders as stored, with their place in the queue; their files. Read-only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

from app.domain.job import Status
from app.domain.key import Key
from app.domain.particulars import is_id
from app.domain.style_job import StyleJob
from app.errors import NotEnded, UnknownJob
from app.ports import Store, StyleFiles, UnitOfWork

# Renders whose time says how long the next one takes.
LATELY = 20


@dataclass(frozen=True, slots=True)
class StyleState:
    """A render as it stands. eta_s: to its end, while it runs; else, and while there is no telling, None.

    position: 1 for the one that is begun next, None where it does not wait; begins_in_s: until its turn, where that can
    be told.
    """

    job: StyleJob
    position: int | None = None
    begins_in_s: float | None = None
    eta_s: float | None = None


@dataclass(frozen=True, slots=True)
class FindStyle:
    """A render by its id; only its owner and an admin see it. Raises UnknownJob. Read-only."""

    store: Store

    def __call__(self, job_id: str, key: Key) -> StyleState:
        """The job as stored now."""
        with self.store.read() as uow:
            return state_of(uow, found_style(uow, job_id, key))


@dataclass(frozen=True, slots=True)
class ListStyle:
    """Renders of the caller, of everybody for an admin, the newest first. Read-only."""

    store: Store

    def __call__(
        self, key: Key, *, status: Status | None = None, before: str | None = None, limit: int = 50
    ) -> list[StyleState]:
        """At most `limit`, those behind the id `before`."""
        owner = None if key.holds("admin") else key.id
        with self.store.read() as uow:
            jobs = uow.style_jobs.page(owner=owner, status=status, before=before, limit=limit)
            queues = {job.home: _Queue(uow, job.home) for job in jobs if job.status == "queued"}
            return [_state(job, queues.get(job.home)) for job in jobs]


@dataclass(frozen=True, slots=True)
class StyleFile:
    """A file of a render, open to be read: whoever gets it closes it. facts: its `bytes`, `sha256`, `media_type` ..."""

    job: StyleJob
    file: BinaryIO
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OpenStyle:
    """The result of a render, or its latest preview. Raises UnknownJob, NotEnded where there is none yet. Read-only."""

    store: Store
    files: StyleFiles

    def __call__(self, job_id: str, key: Key, what: Literal["preview", "output"]) -> StyleFile:
        """The file that the row names now."""
        # The preview that a row named may be replaced before it is opened: then the row names another.
        for _ in range(5):
            with self.store.read() as uow:
                job = found_style(uow, job_id, key)
            facts = job.preview if what == "preview" else job.output
            if facts is None:
                raise UnknownJob(f"The render ended without a {what}.") if job.ended else NotEnded
            try:
                return StyleFile(job, self.files.open(job_id, facts["name"]), facts)
            except FileNotFoundError:
                continue
        raise UnknownJob("The files of the render are not here.")


def found_style(uow: UnitOfWork, job_id: str, key: Key) -> StyleJob:
    """The render, for its owner and an admin. Raises UnknownJob."""
    job = uow.style_jobs.get(job_id) if is_id(job_id) else None
    if job is None or not (key.holds("admin") or key.id == job.owner):
        raise UnknownJob
    return job


def state_of(uow: UnitOfWork, job: StyleJob) -> StyleState:
    """The render with its place in the queue."""
    return _state(job, _Queue(uow, job.home) if job.status == "queued" else None)


def _state(job: StyleJob, queue: "_Queue | None") -> StyleState:
    if job.status != "queued" or queue is None:
        return StyleState(job, eta_s=job.eta_s())
    position = queue.position(job)
    return StyleState(job, position, None if position is None else queue.begins_in_s(position))


class _Queue:
    """Who is before whom, and how long they take: as long for their work as those did that ended lately."""

    def __init__(self, uow: UnitOfWork, home: str) -> None:
        unended = uow.style_jobs.unended(home)
        self._running = [job for job in unended if job.status == "running"]
        self._queued = [job for job in unended if job.status == "queued"]
        self._speed = _speed(uow.style_jobs.done_lately(home, LATELY), self._running)

    def position(self, job: StyleJob) -> int | None:
        """1 for the next one; None where it has been begun meanwhile."""
        return next((place for place, one in enumerate(self._queued, 1) if one.id == job.id), None)

    def begins_in_s(self, position: int) -> float | None:
        """Seconds until the turn of the one at that place; None while there is no telling."""
        before = [self._takes_s(job) for job in (*self._running, *self._queued[: position - 1])]
        told = [seconds for seconds in before if seconds is not None]
        # Several at once: as many as run now share what is before.
        return sum(told) / max(1, len(self._running)) if len(told) == len(before) else None

    def _takes_s(self, job: StyleJob) -> float | None:
        seconds = job.eta_s()
        return seconds if seconds is not None else None if self._speed is None else job.work / self._speed


def _speed(done: Sequence[StyleJob], running: Sequence[StyleJob]) -> float | None:
    """Work a second; None while nothing was measured."""
    spent = [(job.steps * max(1, job.memory_bytes), float(job.metrics.get("run_s") or 0.0)) for job in done]
    spent = [one for one in spent if one[1] > 0]
    if spent:
        return sum(work for work, _ in spent) / sum(seconds for _, seconds in spent)
    speeds = [job.steps_per_s * max(1, job.memory_bytes) for job in running if job.steps_per_s]
    return sum(speeds) / len(speeds) if speeds else None
