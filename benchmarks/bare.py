"""The same work without HTTP, rows or decisions: what the machine could do at most."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from app.domain.face import Vector
from app.index.flat import FlatIndex
from app.inference.face_reader import NetworkFaceReader
from models.face.detect import load_detector
from models.face.encode import open_encoder
from models.face.reading import FaceChain

# As many as the service asks the index for: the best two persons, with four times the room.
HITS = 8
STEPS = ("decode", "detect", "align", "encode", "search")


@dataclass(frozen=True, slots=True)
class Rate:
    """Pictures a second, and the processor milliseconds that one took."""

    throughput: float
    cpu_ms: float


class BareLoop:
    """The networks and the index of the service, set as `info` (of GET /info) says, on one picture again and again."""

    def __init__(self, image: bytes, gallery: Vector, info: dict[str, Any]) -> None:
        if info["device"] != "cpu":
            raise ValueError("the bare loop is written for the CPU")
        self._image = image
        self._lanes = info["lanes"]
        precision = getattr(torch, info["precision"])
        encoder = open_encoder(info["model"], precision=precision, flip=info["flip_averaging"])
        self._chain = FaceChain(load_detector(), encoder)
        self._index = FlatIndex()
        self._index.add([str(number) for number in range(len(gallery))], gallery)
        self._reader = NetworkFaceReader(
            model=info["model"],
            flip=info["flip_averaging"],
            device="cpu",
            precision=info["precision"],
            lanes=info["lanes"],
            batch_faces=info["batch_faces"],
        )
        self._threads_a_lane = torch.get_num_threads()  # as the reader set it for its lanes

    def step_times(self, seconds: float) -> dict[str, list[float]]:
        """Milliseconds of each step, one picture after the other in one thread."""
        times: dict[str, list[float]] = {step: [] for step in STEPS}
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            found = self._chain.find(self._image)
            begun = time.perf_counter()
            vector = self._chain.encode([found.faces[0].crop])[0]
            encoded = time.perf_counter()
            self._index.search(vector, HITS)
            spent = (found.decode_s, found.detect_s, found.align_s, encoded - begun, time.perf_counter() - encoded)
            for step, duration in zip(STEPS, spent, strict=True):
                times[step].append(1000 * duration)
        return times

    def one_by_one(self, seconds: float) -> Rate:
        """Each lane reads one picture after the other: find, encode, search."""
        return self._throughput(self._one, self._lanes, seconds)

    def through_reader(self, seconds: float, threads: int) -> Rate:
        """That many threads ask the reader, which makes micro-batches of them, and search."""
        return self._throughput(self._one_through_reader, threads, seconds)

    def close(self) -> None:
        """Ends the reader's threads."""
        self._reader.close()

    def _one(self) -> None:
        found = self._chain.find(self._image)
        self._index.search(self._chain.encode([found.faces[0].crop])[0], HITS)

    def _one_through_reader(self) -> None:
        vector = self._reader.read(self._image).faces[0].embedding
        assert vector is not None
        self._index.search(vector, HITS)

    def _throughput(self, work: Callable[[], None], threads: int, seconds: float) -> Rate:
        counts, done = [0] * threads, [0] * threads
        cpu_before = time.process_time()
        begin = time.perf_counter() + 0.5
        end = begin + seconds

        def loop(number: int) -> None:
            torch.set_num_threads(self._threads_a_lane)
            while time.perf_counter() < end:
                work()
                done[number] += 1
                counts[number] += begin <= time.perf_counter() <= end

        crew = [threading.Thread(target=loop, args=(number,)) for number in range(threads)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
        return Rate(sum(counts) / seconds, 1000 * (time.process_time() - cpu_before) / sum(done))


@contextmanager
def bare_loop(image: bytes, gallery: Vector, info: dict[str, Any]) -> Iterator[BareLoop]:
    """A bare loop whose threads end with the block."""
    loop = BareLoop(image, gallery, info)
    try:
        yield loop
    finally:
        loop.close()


def medians(times: dict[str, list[float]]) -> dict[str, float]:
    """The median of each step."""
    return {step: statistics.median(values) for step, values in times.items()}
