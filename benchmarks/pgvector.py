"""What a search takes inside the database, by graph and by comparing every vector, against faiss in the process.

    python -m benchmarks.pgvector [--sizes 10000 50000 100000]

The database is a real PostgreSQL of this machine, on its loopback. Every way gets the same probes, in turns.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from app.domain.face import Vector
from app.index.compressed import CompressedIndex
from app.index.product import closest
from app.ports import Hit
from app.store.migrate import migrate
from app.store.pgvector import recall
from app.store.pgvector.clear import written
from app.store.pgvector.search import PgVectorGallery
from app.store.pgvector.table import fill as make_graph
from app.store.pgvector.table import keep_vectors
from app.store.unit_of_work import SqlStore
from app.store.vault.ring import MasterRing
from app.store.vault.vault import Vault
from benchmarks import postgres
from benchmarks.crowd import Directions, Faces, crowd, probes_near, real_faces
from benchmarks.machine import describe, machine
from benchmarks.postgres_server import Server
from benchmarks.report import report, table
from benchmarks.search_ways import K, fill, ids, say

SIZES = (10_000, 50_000, 100_000)
MODEL = "model"
ROUNDS, A_ROUND = 5, 40
# How near to somebody the probes lie: about the thresholds of a gallery of that size.
NEAR = (0.40, 0.50)
PROBES = 400
SETTINGS = {**postgres.FAST, "shared_buffers": "1GB", "max_wal_size": "8GB"}

Way = Callable[[Vector], list[Hit]]


def main() -> None:
    """Measures, and reports."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/lfw"))
    parser.add_argument("--photos", type=int, default=2000, help="photos of LFW to read, where it is")
    asked = parser.parse_args()
    facts = machine()
    real = real_faces(asked.data, asked.photos)
    directions = Directions.after(real[0].vectors) if real else Directions.anywhere()
    sizes = []
    with postgres.servers() as servers:
        server = servers.primary("searched", **SETTINGS)
        for size in asked.sizes:
            say(f"{size} templates")
            faces = crowd(size, real[0] if real else None, directions)
            probes = probes_near(faces, NEAR, PROBES, directions, seed=12)
            with _filled(server, faces) as (store, built):
                sizes.append({"size": size, **built, **_measured(store, faces, probes)})
    result = {"machine": facts, "real": len(real[0]) if real else 0, "sizes": sizes}
    report("pgvector", result, as_text(result))


@contextmanager
def _filled(server: Server, faces: Faces) -> Iterator[tuple[SqlStore, dict[str, float]]]:
    """A store whose table of vectors holds those faces, and the seconds that the graph took.

    The templates themselves are left out: a search reads none of them.
    """
    name = f"searched{len(faces)}"
    server.do(f"CREATE DATABASE {name}")
    url = server.url(name)
    migrate(url)
    vault = Vault(url, MasterRing([bytes(range(32))]), timeout_s=5)
    vault.prepare()
    store = SqlStore(url, vault)
    try:
        keep_vectors(store)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER TABLE template_vectors DROP CONSTRAINT template_vectors_template_id_fkey")
            with connection.cursor().copy("COPY template_vectors FROM STDIN") as copy:
                for id_, owner, vector in zip(ids(len(faces)), faces.owners.tolist(), faces.vectors, strict=True):
                    copy.write_row((id_, f"per_{owner:020d}", MODEL, written(vector)))
            connection.execute("VACUUM ANALYZE template_vectors")
        begin = time.perf_counter()
        make_graph(store, say)
        yield store, {"graph_s": time.perf_counter() - begin}
    finally:
        store.close()
        server.do(f"DROP DATABASE {name} WITH (FORCE)")


def _measured(store: SqlStore, faces: Faces, probes: Vector) -> dict[str, Any]:
    graph, exact = (PgVectorGallery(store, MODEL, say, bound=bound) for bound in (-1, 10**9))
    index = CompressedIndex(report=say)
    fill(index, ids(len(faces)), faces.vectors)
    index.settle()
    ways: dict[str, Way] = {
        "faiss": lambda probe: index.search(probe, K),
        "pgvector, graph": lambda probe: graph.search(probe, K),
        "pgvector, every vector": lambda probe: exact.search(probe, K),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS):
        for name, way in ways.items():
            way(probes[0])
            for number in range(A_ROUND):
                begin = time.perf_counter()
                way(probes[(turn * A_ROUND + number) % len(probes)])
                times[name].append(time.perf_counter() - begin)
    best = closest(faces.vectors, probes, 1)[0][:, 0]
    found = {name: np.array([way(probe)[0].similarity for probe in probes]) for name, way in ways.items()}
    with store.frozen() as uow:
        missed = recall.first_missed(uow.connection, MODEL, len(faces), NEAR[0])
    sizing = []
    for _ in range(5):
        begin = time.perf_counter()
        PgVectorGallery(store, MODEL).size()
        sizing.append(time.perf_counter() - begin)
    return {
        "ways": {
            name: {
                "p50_ms": statistics.median(taken) * 1e3,
                "p99_ms": float(np.percentile(taken, 99)) * 1e3,
                "found": float(np.mean(found[name] >= best - recall.EQUAL)),
            }
            for name, taken in times.items()
        },
        "size_ms": statistics.median(sizing) * 1e3,
        "first_missed": missed,
    }


def as_text(result: dict[str, Any]) -> str:
    """The table in Markdown."""
    rows = [
        (f"{one['size']:,}", name, f"{way['p50_ms']:.2f}", f"{way['p99_ms']:.2f}", f"{way['found']:.4f}")
        for one in result["sizes"]
        for name, way in one["ways"].items()
    ]
    more = "; ".join(
        f"{one['size']:,}: graph made in {one['graph_s']:.1f} s, gallery counted in {one['size_ms']:.1f} ms, "
        f"self-check of {recall.PROBES} probes "
        + (f"missed somebody at probe {one['first_missed']}" if one["first_missed"] else "missed nobody")
        for one in result["sizes"]
    )
    return "\n\n".join(
        (
            describe(result["machine"]),
            f"{ROUNDS * A_ROUND} searches of each way, in turns, for {K} hits; {result['real']} templates of LFW, the "
            f"rest made after them; probes at a similarity of {NEAR[0]} to {NEAR[1]} to somebody.",
            table(("templates", "way", "p50 ms", "p99 ms", "best found"), rows),
            f"{more}.",
        )
    )


if __name__ == "__main__":
    main()
