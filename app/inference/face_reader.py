"""models.face behind the port FaceReader: a bounded queue, and threads that read pictures in micro-batches."""

import math
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import torch
from numpy.typing import NDArray

from app import errors
from app.domain.face import Crop, Face, Quality, Reading, ReadingTimes, Vector
from app.domain.model import Served
from app.inference.encoders import Encoders
from app.inference.translated import of_picture
from app.ports import Wanted
from models import errors as library
from models import weights
from models.face.detect import load_detector
from models.face.reading import FaceChain, Found, FoundFace


@dataclass(frozen=True, slots=True)
class InferenceFacts:
    """What `/info` tells: which encoder reads, where and how the networks run, and under which terms."""

    model_id: str
    model: str
    device: str
    precision: str
    why: str
    flip_averaging: bool
    lanes: int
    batch_faces: int
    terms: str


@dataclass(slots=True, eq=False)
class _Job:
    image: bytes = field(repr=False)
    encode: Wanted
    thorough: bool
    answer: "Future[Reading]"
    queued_at: float


# Whose answer was given has this one instead.
_GIVEN: "Future[Reading]" = Future()
_GIVEN.cancel()


class NetworkFaceReader:
    """Pictures -> faces, by the shipped networks. Thread-safe; fits ports.FaceReader.

    `lanes` threads each take what has piled up, at most `batch_faces` pictures, decode and detect them one by one,
    and encode the faces of all of them as one batch. Nothing waits for a batch to fill: a lone picture is read at once.
    The queue holds `queue` pictures; one more raises Busy. lanes: 0 takes one for each core, with CUDA 4 at most.
    processes: as many readers share the cores of the machine. model, flip: what reads until `serve` says another.
    """

    def __init__(
        self,
        *,
        model: str = "onelook",
        flip: bool = False,
        device: str = "auto",
        precision: str = "auto",
        lanes: int = 0,
        processes: int = 1,
        queue: int = 64,
        batch_faces: int = 4,
        max_image_bytes: int = 10 * 2**20,
        max_image_pixels: int = 50_000_000,
    ) -> None:
        device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        cores = max(1, cores // processes)
        lanes = lanes or (cores if device == "cpu" else min(cores, 4))
        self._threads_a_lane = max(1, cores // lanes)
        # The precision is measured as it will run: with the threads of one lane.
        torch.set_num_threads(self._threads_a_lane)
        self._detector = load_detector(device)
        self._encoders = Encoders(self._detector, device=device, precision=precision)
        self._device, self._lane_count, self._batch_faces = device, lanes, batch_faces
        self._bounds = {"max_bytes": max_image_bytes, "max_pixels": max_image_pixels}
        # Facts and chain together: a reading says which model made it.
        self._active = self._made(weights.model_id(model, flip=flip))
        self._chain = self._active[1]
        self._jobs: deque[_Job] = deque()
        self._most_jobs = queue
        self._changed = threading.Condition()
        self._closed = False
        self._lanes = [threading.Thread(target=self._lane, name=f"lane-{i}", daemon=True) for i in range(lanes)]
        for lane in self._lanes:
            lane.start()

    @property
    def facts(self) -> InferenceFacts:
        """What is told of the networks, as they are now."""
        return self._active[0]

    @property
    def model_id(self) -> str:
        """The model that reads now: digest of the weights and of the preprocessing that make the embeddings."""
        return self.facts.model_id

    def serve(self, served: Served) -> None:
        """From now on that model reads; its weights are loaded where need be, seconds. Raises NotReady without them.

        Those of models that are neither served nor prepared are let go.
        """
        if served.model_id != self.model_id:
            try:
                self._active = self._made(served.model_id)
            except library.WeightsError as e:
                raise errors.NotReady(f"{served.model_id} is served now, and {e}") from e
        self._encoders.keep_only((served.model_id, served.next_id))

    def encode(self, crops: Sequence[Crop], model_id: str) -> Vector:
        """Fits ports.FaceReader.encode; in the thread that calls it."""
        try:
            return self._encoders.of(model_id).encoder.encode(crops)
        except library.WeightsError as e:
            raise errors.NotReady(str(e)) from e

    def _made(self, model_id: str) -> tuple[InferenceFacts, FaceChain]:
        known = self._encoders.of(model_id)
        facts = InferenceFacts(
            model_id=model_id,
            model=known.name,
            device=_device_name(self._device),
            precision=known.precision.name,
            why=known.precision.why,
            flip_averaging=known.flip,
            lanes=self._lane_count,
            batch_faces=self._batch_faces,
            terms=known.terms,
        )
        return facts, FaceChain(self._detector, known.encoder, device=self._device, **self._bounds)

    def waiting(self) -> int:
        """Pictures that wait for a lane."""
        return len(self._jobs)

    def read(self, image: bytes, *, encode: Wanted = "main", thorough: bool = False) -> Reading:
        """Fits ports.FaceReader.read."""
        job = _Job(image, encode, thorough, Future(), time.perf_counter())
        with self._changed:
            if self._closed:
                raise errors.ShuttingDown
            if len(self._jobs) >= self._most_jobs:
                raise errors.Busy
            self._jobs.append(job)
            self._changed.notify()
        try:
            return job.answer.result()
        except library.ImageError as e:
            raise of_picture(e) from e
        finally:
            # An error leads to frames that hold the job, and the job to the error: together they would keep the picture
            # in memory until the collector of cycles comes, which is seldom.
            job.answer = _GIVEN

    def close(self) -> None:
        """Reads what is queued to its end, then ends the lanes; later calls of `read` raise ShuttingDown."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for lane in self._lanes:
            lane.join()

    def _lane(self) -> None:
        torch.set_num_threads(self._threads_a_lane)
        while jobs := self._take():
            try:
                self._read_together(jobs)
            except BaseException as e:  # a lane must not end while somebody waits for it
                for job in jobs:
                    if not job.answer.done():
                        job.answer.set_exception(e)

    def _take(self) -> list[_Job]:
        """The next pictures for this lane: its share of those that wait; none once the reader is closed and empty."""
        with self._changed:
            while not self._jobs and not self._closed:
                self._changed.wait()
            share = math.ceil(len(self._jobs) / len(self._lanes))
            return [self._jobs.popleft() for _ in range(min(share, self.facts.batch_faces))]

    def _read_together(self, jobs: list[_Job]) -> None:
        found: list[tuple[_Job, Found, float]] = []
        for job in jobs:
            begun = time.perf_counter()
            try:
                found.append((job, self._chain.find(job.image, thorough=job.thorough), begun))
            except Exception as e:  # whatever it is belongs to the one who asked, and must not end the lane
                job.answer.set_exception(e)
        wanted = [_faces_to_encode(job, faces) for job, faces, _ in found]
        encoding = time.perf_counter()
        facts, chain = self._active
        vectors = chain.encode([face.crop for faces in wanted for face in faces])
        encode_s = time.perf_counter() - encoding
        first = 0
        for (job, seen, begun), faces in zip(found, wanted, strict=True):
            own = vectors[first : first + len(faces)]
            first += len(faces)
            spent_s = seen.decode_s + seen.detect_s + seen.align_s
            # Waiting for a lane, and within it for the other pictures of the batch.
            queue_s = (begun - job.queued_at) + max(0.0, encoding - begun - spent_s)
            job.answer.set_result(_reading(seen, own, queue_s, encode_s, facts.model_id))


def _faces_to_encode(job: _Job, found: Found) -> tuple[FoundFace, ...]:
    return {"none": (), "main": found.faces[:1], "all": found.faces}[job.encode]


def _reading(found: Found, vectors: Vector, queue_s: float, encode_s: float, model_id: str) -> Reading:
    faces = tuple(_face(face, found, vectors[i] if i < len(vectors) else None) for i, face in enumerate(found.faces))
    times = (queue_s, found.decode_s, found.detect_s, found.align_s, encode_s)
    return Reading(found.width, found.height, faces, ReadingTimes(*(1000 * s for s in times)), model_id)


def _face(found: FoundFace, picture: Found, vector: Vector | None) -> Face:
    x0, y0, x1, y1 = found.face.box.tolist()
    box = (max(0.0, x0), max(0.0, y0), min(float(picture.width), x1), min(float(picture.height), y1))
    q = found.quality
    quality = Quality(q.score, q.reasons, q.size_px, q.yaw, q.pitch, q.roll, q.sharpness, q.brightness, q.cut_off)
    crop = None if vector is None else found.crop
    return Face(box, _points(found.face.landmarks), found.face.score, quality, vector, crop)


def _points(landmarks: NDArray) -> tuple[tuple[float, float], ...]:  # type: ignore[type-arg]
    return tuple((x, y) for x, y in landmarks.tolist())


def _device_name(device: str) -> str:
    return f"cuda ({torch.cuda.get_device_name()})" if device == "cuda" else "cpu"
