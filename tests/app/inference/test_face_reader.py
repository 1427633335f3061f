"""The reader: real networks behind a bounded queue, from many threads at once."""

import contextlib
import gc
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from app import errors
from app.inference import face_reader as module
from app.inference.face_reader import NetworkFaceReader
from app.inference.translated import TRANSLATED
from models import errors as library
from models.face.reading import FaceChain


@pytest.fixture(scope="module")
def reader() -> Iterator[NetworkFaceReader]:
    reader = NetworkFaceReader(precision="float32", lanes=2, queue=8, batch_faces=3, max_image_pixels=4_000_000)
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def photos(samples: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(samples.glob("*.jpg"))]


class Held:
    """A chain whose first picture waits until it is let go."""

    def __init__(self, chain: FaceChain) -> None:
        self.chain, self.begun, self.go = chain, threading.Event(), threading.Event()

    def find(self, image: bytes, *, thorough: bool = False) -> object:
        self.begun.set()
        assert self.go.wait(30)
        return self.chain.find(image, thorough=thorough)

    def encode(self, crops: object) -> object:
        return self.chain.encode(crops)


def test_reads_faces_with_boxes_inside_the_picture(reader: NetworkFaceReader, photos: list[bytes]) -> None:
    for photo in photos:
        reading = reader.read(photo)
        x0, y0, x1, y1 = reading.faces[0].box
        assert 0 <= x0 < x1 <= reading.width
        assert 0 <= y0 < y1 <= reading.height
        assert len(reading.faces[0].landmarks) == 5
        assert reading.times.encode > 0


def test_encodes_what_was_asked_for_and_nothing_else(reader: NetworkFaceReader, photos: list[bytes]) -> None:
    assert reader.read(photos[0], encode="none").faces[0].embedding is None
    for encode in ("main", "all"):
        vector = reader.read(photos[0], encode=encode).faces[0].embedding
        assert vector is not None
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_answers_of_many_threads_are_those_of_one(photos: list[bytes]) -> None:
    reader = NetworkFaceReader(precision="float32", lanes=2, queue=64, batch_faces=4)
    try:
        alone = [reader.read(photo).faces[0].embedding for photo in photos]
        with ThreadPoolExecutor(12) as pool:
            together = list(pool.map(lambda i: (i, reader.read(photos[i])), list(range(len(photos))) * 8))
    finally:
        reader.close()
    for i, reading in together:
        assert float(reading.faces[0].embedding @ alone[i]) > 0.9999


def test_a_bad_picture_in_a_batch_is_its_senders_alone(reader: NetworkFaceReader, photos: list[bytes]) -> None:
    def outcome(image: bytes) -> str:
        try:
            return str(len(reader.read(image).faces))
        except errors.ImageRefused as e:
            return type(e).__name__

    images = [photos[0], b"text", photos[0][:500], photos[1]]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            assert list(pool.map(outcome, images)) == ["1", "UnsupportedMedia", "UnreadableImage", "1"]


def test_a_full_queue_is_busy_at_once_and_takes_pictures_again_later(
    monkeypatch: pytest.MonkeyPatch, photos: list[bytes]
) -> None:
    reader = NetworkFaceReader(precision="float32", lanes=1, queue=2, batch_faces=1)
    held = Held(reader._chain)
    monkeypatch.setattr(reader, "_chain", held)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(reader.read, photos[0])
        assert held.begun.wait(30)
        waiting = [pool.submit(reader.read, photos[0]) for _ in range(2)]
        while reader.waiting() < 2:
            threading.Event().wait(0.01)
        with pytest.raises(errors.Busy):
            reader.read(photos[0])
        held.go.set()
        assert [len(f.result(30).faces) for f in (first, *waiting)] == [1, 1, 1]
    assert len(reader.read(photos[0]).faces) == 1
    reader.close()


def test_close_reads_what_is_queued_and_refuses_what_comes_after(
    monkeypatch: pytest.MonkeyPatch, photos: list[bytes]
) -> None:
    reader = NetworkFaceReader(precision="float32", lanes=1, queue=8, batch_faces=1)
    held = Held(reader._chain)
    monkeypatch.setattr(reader, "_chain", held)
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(reader.read, photos[0]) for _ in range(3)]
        while reader.waiting() < 2:
            threading.Event().wait(0.01)
        closing = pool.submit(reader.close)
        held.go.set()
        assert [len(f.result(30).faces) for f in asked] == [1, 1, 1]
        closing.result(30)
    with pytest.raises(errors.ShuttingDown):
        reader.read(photos[0])


def test_a_failing_network_reaches_the_caller_and_leaves_the_lane_alive(
    monkeypatch: pytest.MonkeyPatch, photos: list[bytes]
) -> None:
    reader = NetworkFaceReader(precision="float32", lanes=1, queue=8, batch_faces=2)
    chain = reader._chain
    monkeypatch.setattr(chain, "encode", lambda _: (_ for _ in ()).throw(RuntimeError("no memory")))
    with pytest.raises(RuntimeError, match="no memory"):
        reader.read(photos[0])
    monkeypatch.undo()
    assert len(reader.read(photos[0]).faces) == 1
    reader.close()


def test_every_image_error_of_the_library_has_a_fact_of_the_service() -> None:
    def leaves(kind: type) -> set[type]:
        below = kind.__subclasses__()
        return set().union(*(leaves(k) for k in below)) if below else {kind}

    assert leaves(library.ImageError) == set(TRANSLATED)


def test_facts_say_where_and_how_it_runs(reader: NetworkFaceReader) -> None:
    facts = reader.facts
    assert facts.model_id == reader.model_id
    assert facts.precision == "float32"
    assert facts.why
    assert facts.lanes == 2
    assert "for research" in facts.terms


def test_a_fault_after_encoding_reaches_every_caller_and_leaves_the_lane_alive(
    monkeypatch: pytest.MonkeyPatch, photos: list[bytes]
) -> None:
    reader = NetworkFaceReader(precision="float32", lanes=1, queue=8, batch_faces=4)

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(module, "_reading", fail)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(reader.read, photo) for photo in photos]
        for one in asked:
            with pytest.raises(MemoryError):
                one.result(60)
    monkeypatch.undo()
    assert len(reader.read(photos[0]).faces) == 1
    reader.close()


@pytest.mark.parametrize(("cores", "processes", "lanes"), [(8, 1, 8), (8, 2, 4), (8, 3, 2), (2, 4, 1)])
def test_as_many_lanes_as_cores_shared_with_the_other_processes(
    monkeypatch: pytest.MonkeyPatch, cores: int, processes: int, lanes: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(cores), raising=False)
    threads = torch.get_num_threads()
    reader = NetworkFaceReader(precision="float32", device="cpu", processes=processes)
    try:
        assert reader.facts.lanes == lanes
        assert torch.get_num_threads() == 1
    finally:
        reader.close()
        torch.set_num_threads(threads)


@pytest.mark.gpu
def test_a_gpu_gives_the_embeddings_of_the_cpu(photos: list[bytes]) -> None:
    readers = [NetworkFaceReader(device=device) for device in ("cpu", "cuda")]
    try:
        for photo in photos:
            on_cpu, on_gpu = (reader.read(photo).faces[0].embedding for reader in readers)
            assert float(on_cpu @ on_gpu) > 0.998
    finally:
        for reader in readers:
            reader.close()


def test_lets_go_of_a_refused_picture_without_the_collector_of_cycles(reader: NetworkFaceReader) -> None:
    image = b"no picture" * 10
    gc.disable()
    try:
        held = sys.getrefcount(image)
        for _ in range(20):
            with contextlib.suppress(errors.ImageRefused):
                reader.read(image)
        # The lanes still hold what they took last.
        assert sys.getrefcount(image) <= held + 6
    finally:
        gc.enable()
