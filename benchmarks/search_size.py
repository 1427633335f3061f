"""One size of gallery: the ways to search it, in turns, and the cold start from its snapshot and from rows."""

import secrets
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from app.assembly.parts import open_store
from app.domain.face import Vector
from app.index.compressed import CompressedIndex
from app.index.follow import FollowedGallery
from app.index.packed import SAMPLE, PackedCodes, Packing
from app.index.product import closest
from app.index.snapshot import Snapshot
from app.index.snapshot_file import SnapshotFile
from app.inference import calibration
from app.inference.encoders import wanted_model
from app.settings import Settings
from benchmarks import gallery
from benchmarks.crowd import Directions, Faces, crowd, probes_near
from benchmarks.search_ways import K, Way, built, fill, ids, reading_alone, say

ROUNDS = 5
A_ROUND = 100
# Probes made, and how far from the threshold the similarity to their closest template may lie.
MADE = 2_000
NEAR = 0.05
# What is equal to six places may come in any order.
EQUAL = 1e-6
DEEP = 32_000
CHECKS = 5000


def measure(size: int, folder: Path, *, hnsw: bool) -> dict[str, Any]:
    """All figures of one size. folder: where real embeddings may lie, and where the snapshot is put for a moment."""
    settings = Settings()
    model_id = wanted_model(settings)
    point = calibration.load(settings.model, model_id).for_identification(size)
    templates, asked = _kept(folder / "templates.npz"), _kept(folder / "probes.npz")
    directions = Directions.after(templates.vectors) if templates else Directions.anywhere()
    faces = crowd(size, templates, directions)
    ways, figures = built(faces, hnsw=hnsw)
    probes, real = _near_threshold(faces, asked, point.threshold, directions)
    right = closest(faces.vectors, probes, K)
    for name, way in ways.items():
        figures[name] |= _recall(way, faces, probes, right)
    figures["reading alone"] = {}
    _time_in_turns(ways | {"reading alone": reading_alone(faces.vectors)}, probes, figures)
    del ways
    return {
        "needed": _proposals_needed(faces, probes, right[1]),
        "size": size,
        "k": K,
        "searches": ROUNDS * A_ROUND,
        "threshold": point.threshold,
        "point": f"{point.name}, {point.support}",
        "near": NEAR,
        "probes": len(probes),
        "real_probes": real,
        "ways": figures,
        "cold_start": cold_start(faces, model_id, folder) | cold_start_from_rows(faces, model_id, folder),
    }


def cold_start(faces: Faces, model_id: str, folder: Path) -> dict[str, float]:
    """Seconds to write a snapshot, to read it, until the index answers, and until it answers by codes; its bytes."""
    names = ids(len(faces))
    file = SnapshotFile(folder, model_id, secrets.token_bytes(32), say)
    content = Snapshot(1, model_id, names, [f"per_{owner:020d}" for owner in faces.owners.tolist()], faces.vectors)
    begin = time.perf_counter()
    if not file.write(content):
        raise RuntimeError("the snapshot could not be written")
    written = time.perf_counter()
    size = (folder / f"{model_id}.index").stat().st_size
    begin_reading = time.perf_counter()
    held = file.read()
    if held is None or held.ids != names:
        raise RuntimeError("the snapshot could not be read")
    read = time.perf_counter()
    index = CompressedIndex(report=say)
    fill(index, held.ids, held.vectors)
    filled = time.perf_counter()
    index.settle()
    packed = time.perf_counter()
    file.discard()
    return {
        "bytes": size,
        "write_s": written - begin,
        "read_s": read - begin_reading,
        "fill_s": filled - begin_reading,
        "packed_s": packed - begin_reading,
    }


def cold_start_from_rows(faces: Faces, model_id: str, folder: Path) -> dict[str, float]:
    """Seconds to write a person with a template for each face to SQLite, and until an index answers from those rows.

    Also the microseconds, at the median, that a search then asks whether anything changed.
    """
    settings = Settings(home=folder / "home")
    begin = time.perf_counter()
    gallery.fill(settings.home, faces.vectors, model_id, settings=settings)
    stored = time.perf_counter() - begin
    store = open_store(settings)
    followed = FollowedGallery(store, lambda: CompressedIndex(report=say), model_id, say)
    begin = time.perf_counter()
    followed.rebuild()
    answers = time.perf_counter() - begin
    if followed.size()[1] != len(faces):
        raise RuntimeError("not every row came into the index")
    checks = []
    for _ in range(CHECKS):
        begin = time.perf_counter()
        followed.catch_up()
        checks.append(time.perf_counter() - begin)
    store.close()
    shutil.rmtree(settings.home)
    return {"rows_write_s": stored, "rows_s": answers, "check_us": statistics.median(checks) * 1e6}


def _near_threshold(faces: Faces, real: Faces | None, threshold: float, directions: Directions) -> tuple[Vector, int]:
    """Probes whose best similarity lies near the threshold, the real ones first, and how many those are."""
    made = probes_near(faces, (threshold - NEAR, threshold + NEAR), MADE, directions, seed=12)
    found = []
    for probes in (real.vectors if real else made[:0], made):
        best = closest(faces.vectors, probes, 1)[0][:, 0] if len(probes) else np.empty(0)
        found.append(probes[np.abs(best - threshold) <= NEAR])
    return np.ascontiguousarray(np.vstack(found)), len(found[0])


def _recall(way: Way, faces: Faces, probes: Vector, right: tuple[Vector, NDArray[np.intp]]) -> dict[str, float]:
    """The share of probes for which the best person is found, and for which the two best persons are."""
    best, two = 0, 0
    for probe, places in zip(probes, right[1], strict=True):
        found, truth = _best_persons(faces, probe, way(probe)), _best_persons(faces, probe, places)
        best += _same(found[:1], truth[:1])
        two += _same(found[:2], truth[:2])
    return {"best": best / len(probes), "two_best": two / len(probes)}


def _best_persons(faces: Faces, probe: Vector, places: NDArray[Any]) -> list[tuple[int, float]]:
    best: dict[int, float] = {}
    for place in places:
        best.setdefault(int(faces.owners[place]), float(faces.vectors[place] @ probe))
    return list(best.items())


def _same(found: list[tuple[int, float]], truth: list[tuple[int, float]]) -> bool:
    return len(found) == len(truth) and all(
        person == other or abs(s - t) <= EQUAL for (person, s), (other, t) in zip(found, truth, strict=True)
    )


def _proposals_needed(faces: Faces, probes: Vector, right: NDArray[np.intp]) -> dict[str, int]:
    """The greatest place, from 1, among the codes' proposals at which the best and the last of the K closest stand.

    0 for one that is not among the first DEEP.
    """
    chance = np.random.default_rng(13)
    codes = PackedCodes(faces.vectors[chance.choice(len(faces), SAMPLE, replace=False)])
    codes.append(faces.vectors)
    best, last = [], []
    for probe, rows in zip(probes, right, strict=True):
        proposed = codes.faiss.search(probe[None], min(DEEP, len(faces)))[1][0]
        place_of = {int(row): place for place, row in enumerate(proposed, 1)}
        best.append(place_of.get(int(rows[0]), 0))
        last.append(max(place_of.get(int(row), 0) for row in rows) if set(rows) <= place_of.keys() else 0)
    return {
        "best": 0 if 0 in best else max(best),
        "all": 0 if 0 in last else max(last),
        "proposed": Packing().proposed(K, len(faces)),
    }


def _time_in_turns(ways: dict[str, Way], probes: Vector, figures: dict[str, dict[str, Any]]) -> None:
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    faiss.omp_set_num_threads(1)
    for turn in range(ROUNDS):
        for name, way in ways.items():
            way(probes[0])
            for number in range(A_ROUND):
                probe = probes[(turn * A_ROUND + number) % len(probes)]
                begin, cpu = time.perf_counter(), time.thread_time()
                way(probe)
                times[name].append((time.perf_counter() - begin, time.thread_time() - cpu))
    for name, taken in times.items():
        wall, cpu_ms = np.array(taken).T * 1e3
        figures[name] |= {
            "p50_ms": float(np.median(wall)),
            "p99_ms": float(np.percentile(wall, 99)),
            "cpu_ms": float(np.median(cpu_ms)),
        }


def _kept(file: Path) -> Faces | None:
    if not file.exists():
        return None
    with np.load(file, allow_pickle=False) as held:
        return Faces(held["vectors"], held["owners"])
