"""The ways to search that are compared: ours, as it serves, and two of faiss's, bare; and reading the vectors alone."""

import ctypes
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from app.domain.face import Vector
from app.index.compressed import CompressedIndex
from app.index.packed import Packing
from benchmarks.crowd import Faces

K = 8  # what one identification asks for
BATCH = 10_000
HNSW_LINKS, HNSW_SEARCH = 32, 200
PREFIX = "tpl_"

# float32 (128,) -> the rows of the K closest, closest first.
Way = Callable[[Vector], NDArray[np.int64]]


def built(faces: Faces, *, hnsw: bool) -> tuple[dict[str, Way], dict[str, dict[str, Any]]]:
    """The ways by name, and of each the seconds to build it and the bytes a template by which the process grew."""
    makers = {"onelook": _onelook, "flat FAISS": _flat} | ({"HNSW": _hnsw} if hnsw else {})
    ways: dict[str, Way] = {}
    figures: dict[str, dict[str, Any]] = {}
    for name, make in makers.items():
        before, begin = _resident_bytes(), time.perf_counter()
        ways[name] = make(faces.vectors)
        figures[name] = {
            "build_s": time.perf_counter() - begin,
            "bytes": (_resident_bytes() - before) / len(faces),
        }
        print(f"  {name}: built in {figures[name]['build_s']:.1f} s", file=sys.stderr)
    return ways, figures


def reading_alone(vectors: Vector) -> Way:
    """Every byte once, and the least that can be done with it."""
    words = vectors.view(np.uint64).ravel()
    return lambda probe: np.atleast_1d(np.bitwise_or.reduce(words)).astype(np.int64)


def fill(index: CompressedIndex, ids: list[str], vectors: Vector) -> None:
    """Adds float32 (n, 128) under those ids, in batches as a service does."""
    for begin in range(0, len(ids), BATCH):
        index.add(ids[begin : begin + BATCH], vectors[begin : begin + BATCH])


def ids(n: int) -> list[str]:
    """So many template ids, in the order of the rows."""
    return [f"{PREFIX}{number:020d}" for number in range(n)]


def say(text: str) -> None:
    """To stderr, where a benchmark talks while it runs."""
    print(text, file=sys.stderr)


def _onelook(vectors: Vector) -> Way:
    names = ids(len(vectors))
    index = CompressedIndex(report=say)
    fill(index, names, vectors)
    index.settle()
    if index.packed != (len(names) > Packing().bound):
        raise RuntimeError("the index does not answer by the engine that is to be measured")
    return lambda probe: np.array([int(hit.template_id.removeprefix(PREFIX)) for hit in index.search(probe, K)])


def _flat(vectors: Vector) -> Way:
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return lambda probe: _rows(index.search(probe[None], K))


def _hnsw(vectors: Vector) -> Way:
    faiss.omp_set_num_threads(len(os.sched_getaffinity(0)))
    index = faiss.IndexHNSWFlat(vectors.shape[1], HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
    index.add(vectors)
    index.hnsw.efSearch = HNSW_SEARCH
    return lambda probe: _rows(index.search(probe[None], K))


def _rows(answer: tuple[Vector, NDArray[np.int64]]) -> NDArray[np.int64]:
    rows: NDArray[np.int64] = answer[1][0]
    return rows


def _resident_bytes() -> int:
    # What was freed is given back first: else it would be used again, and the growth be too small.
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(status.partition("VmRSS:")[2].split()[0])
