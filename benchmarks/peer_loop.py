"""One peer, in a bare loop, in a process and an environment of its own; imports nothing of this project.

Run by benchmarks/peers.py: `build/peers/bin/python benchmarks/peer_loop.py PEER PICTURE THREADS OWN_THREADS MODELS`.
PEER: `face_recognition` or `opencv`; THREADS: loops side by side in this process; OWN_THREADS: threads that the peer
may use within one picture, 0 for its default. Says `ready`, then answers each line `SECONDS` with one line of JSON.
"""

import io
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PERSONS = 10_000
WARM_S = 0.5
SIZE = (640, 480)
LEAST_SCORE = 0.6
DETECTOR = "face_detection_yunet_2023mar_int8bq.onnx"
ENCODER = "face_recognition_sface_2021dec_int8bq.onnx"

Steps = list[tuple[str, float]]
Job = Callable[[], Steps]


def face_recognition_job(image: bytes, own_threads: int, models: Path) -> Job:
    """load_image_file, face_locations, face_encodings, face_distance to everybody: as its own examples do."""
    import face_recognition

    gallery = _gallery()

    def job() -> Steps:
        began = time.perf_counter()
        picture = face_recognition.load_image_file(io.BytesIO(image))
        loaded = time.perf_counter()
        places = face_recognition.face_locations(picture)
        found = time.perf_counter()
        encodings = face_recognition.face_encodings(picture, places)
        encoded = time.perf_counter()
        face_recognition.face_distance(gallery, encodings[0]).argmin()
        times = (began, loaded, found, encoded, time.perf_counter())
        return _steps(("decode", "detect", "encode", "compare"), times)

    return job


def opencv_job(image: bytes, own_threads: int, models: Path) -> Job:
    """imdecode, FaceDetectorYN at the picture's size, alignCrop, feature, inner products with everybody."""
    import cv2

    if own_threads:
        cv2.setNumThreads(own_threads)
    gallery = _gallery()
    detector = cv2.FaceDetectorYN.create(str(models / DETECTOR), "", SIZE, LEAST_SCORE)
    encoder = cv2.FaceRecognizerSF.create(str(models / ENCODER), "")

    def job() -> Steps:
        began = time.perf_counter()
        picture = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        decoded = time.perf_counter()
        _, faces = detector.detect(picture)
        detected = time.perf_counter()
        crop = encoder.alignCrop(picture, faces[0])
        aligned = time.perf_counter()
        feature = encoder.feature(crop)[0]
        encoded = time.perf_counter()
        (gallery @ (feature / np.linalg.norm(feature))).argmax()
        times = (began, decoded, detected, aligned, encoded, time.perf_counter())
        return _steps(("decode", "detect", "align", "encode", "compare"), times)

    return job


def run(jobs: list[Job], seconds: float) -> dict[str, Any]:
    """Each job again and again in a thread of its own; those that ended within `seconds`, after warming up."""
    begin = time.perf_counter() + WARM_S
    end = begin + seconds
    done: list[Steps] = []

    def loop(job: Job) -> None:
        while time.perf_counter() < end:
            steps = job()
            if begin <= time.perf_counter() <= end:
                done.append(steps)

    crew = [threading.Thread(target=loop, args=(job,)) for job in jobs]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    names = [name for name, _ in done[0]] if done else []
    medians = {name: float(np.median([dict(steps)[name] for steps in done])) for name in names}
    totals = [sum(ms for _, ms in steps) for steps in done]
    return {"done": len(done), "ms": float(np.median(totals)) if totals else None, "steps_ms": medians}


def _steps(names: tuple[str, ...], times: tuple[float, ...]) -> Steps:
    return [(name, 1000 * (b - a)) for name, a, b in zip(names, times[:-1], times[1:], strict=True)]


def _gallery() -> Any:
    vectors = np.random.default_rng(7).standard_normal((PERSONS, 128)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main() -> None:
    """Makes one job a thread, and runs them as often as it is told."""
    peer, picture, threads, own_threads, models = sys.argv[1:]
    make = {"face_recognition": face_recognition_job, "opencv": opencv_job}[peer]
    image = Path(picture).read_bytes()
    jobs = [make(image, int(own_threads), Path(models)) for _ in range(int(threads))]
    for job in jobs:
        job()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(run(jobs, float(line))), flush=True)


if __name__ == "__main__":
    main()
