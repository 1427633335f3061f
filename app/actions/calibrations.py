"""Labelled photos -> a calibration, as a job: sent as a zip of `person/photo`, read, measured, and deleted."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from threading import Event
from typing import Any

from app.actions.jobs import CancelJob, FindJob, JobState, Lease, Told, owner_of
from app.actions.sight import embedding
from app.actions.tidy_batches import let_file_go
from app.domain.actor import acting_as
from app.domain.batch import BatchItem
from app.domain.face import Vector
from app.domain.job import CALIBRATION, Job, Overtaken
from app.domain.key import Key
from app.domain.model import ModelChanged, in_one_model
from app.errors import Busy, ImageRefused, NotReady, Refused, ShuttingDown
from app.ports import Clock, FaceReader, Spool, Store, UnitOfWork

SCOPE = "calibrate"
PIECE = 500
# Photos after which the row says how far it has come.
STEPS_AT_ONCE = 16
PAUSE_S = 0.1
# Many people, each bootstrap of them again.
LONGEST_MEASURING_S = 3600.0

# Faces, labels, the sample's name and the model that made the faces -> what was measured, as JSON takes it. A face is
# float32 (128,) of unit length, or None where the photo shows none. Raises Refused where the photos cannot carry it.
Measure = Callable[[Sequence[Vector | None], Sequence[str], str, str], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class RunCalibration:
    """Reads the photos of a calibration that was claimed, one by one, and has them measured.

    waiting: pictures that wait to be read; while there are any, it makes way. ended: told of a job that this ended.
    What was read is held in memory and nowhere else: whoever goes on after a kill reads all of it again. Writes the
    result with the end of the job, and deletes the rows of its photos with it.
    """

    store: Store
    reader: FaceReader
    spool: Spool
    clock: Clock
    kept: timedelta
    told: Told
    measure: Measure
    waiting: Callable[[], int]
    ended: Callable[[str], object]

    def __call__(self, job: Job, *, stop: Event) -> None:
        """stop, once set, queues the job again soon."""
        lease = Lease(self.store, self.clock, job, stop, lambda: owner_of(self.store, self.clock, job, SCOPE))
        lease.check()
        error: Refused | NotReady | None = None
        result: dict[str, Any] | None = None
        try:
            with acting_as(job.owner):
                result = lease.hold(lambda: in_one_model(lambda: self._measured(lease)))
        except Overtaken:
            return
        except ShuttingDown:
            lease.stop_for("stopped")
        except (Refused, NotReady) as e:
            error = e
        with self.store.write() as uow:
            done = lease.end(uow, self.kept, self.told, error=error, result=result)
            if done:
                forget_photos(uow, job)
            uow.commit()
        if done:
            self.ended(job.id)

    def _measured(self, lease: Lease) -> dict[str, Any] | None:
        """What was measured; None where the attempt was halted. Raises ModelChanged, Overtaken, Refused, NotReady."""
        items = list(self._items(lease.job.id))
        with self.store.write() as uow:
            lease.advance(uow, 0)
            uow.jobs.count_anew(lease.job.id, 0, len(items))
            uow.commit()
        model_id = self.reader.model_id
        faces: list[Vector | None] = []
        for number, item in enumerate(items, 1):
            lease.make_way(self.waiting)
            if lease.halted.is_set():
                return None
            faces.append(self._face(lease, item, model_id))
            if number % STEPS_AT_ONCE == 0 or number == len(items):
                self._count(lease, number)
        with self.store.read() as uow:
            erased = uow.batches.numbers(lease.job.id, "erased")
        left = [(item, face) for item, face in zip(items, faces, strict=True) if item.number not in erased]
        lease.get_on(LONGEST_MEASURING_S)
        labels, name = [item.folder for item, _ in left], str(lease.job.parameters["name"])
        return dict(self.measure([face for _, face in left], labels, name, model_id))

    def _items(self, job_id: str) -> Iterator[BatchItem]:
        after = -1
        while True:
            with self.store.read() as uow:
                piece = uow.batches.page(job_id, status="pending", after=after, limit=PIECE)
            if not piece:
                return
            yield from piece
            after = piece[-1].number

    def _count(self, lease: Lease, number: int) -> None:
        with self.store.write() as uow:
            lease.advance(uow, number % STEPS_AT_ONCE or STEPS_AT_ONCE)
            uow.commit()

    def _face(self, lease: Lease, item: BatchItem, model_id: str) -> Vector | None:
        """The main face of one photo; None where there is none, or the photo is refused: it counts as missed."""
        if item.place is None:
            return None
        while True:
            try:
                reading = self.reader.read(self.spool.read(lease.job.id, item.place), encode="main")
            except FileNotFoundError:
                raise Overtaken from None  # the job was ended, and its file went with it
            except ImageRefused:
                return None
            except Busy:
                if lease.halted.wait(PAUSE_S):
                    return None
                continue
            if reading.model_id != model_id:
                raise ModelChanged
            return embedding(reading.faces[0]) if reading.faces else None


@dataclass(frozen=True, slots=True)
class CancelCalibration:
    """Stops a calibration; its photos are deleted. Raises UnknownJob."""

    store: Store
    spool: Spool
    clock: Clock
    kept: timedelta

    def __call__(self, job_id: str, key: Key) -> JobState:
        """The job as it stands now: one that is worked on ends within seconds."""
        state = CancelJob(self.store, self.clock, CALIBRATION, self.kept, forget_photos)(job_id, key)
        if state.job.ended:
            let_file_go(self.store, self.spool, job_id)
        return state


def find_calibration(store: Store, clock: Clock) -> FindJob:
    """A calibration by its job's id."""
    return FindJob(store, clock, CALIBRATION)


def forget_photos(uow: UnitOfWork, job: Job) -> None:
    """Deletes the rows of its photos: their paths name people."""
    uow.batches.clear(job.id)
