"""What rows cost on each database: the freshness check before each search, the owners of its hits, and enrolments.

python -m benchmarks.store [--persons 10000] [--writes 300]
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.assembly.parts import open_store
from app.domain.face import Quality, Vector
from app.domain.person import Person, Template
from app.settings import Settings
from app.store.unit_of_work import SqlStore
from benchmarks import postgres
from benchmarks.gallery import fill, strangers
from benchmarks.machine import describe, machine
from benchmarks.report import report, table

QUERIES = 5000
HITS = 10
WRITERS = 4
QUALITY = Quality(1.0, (), 150.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0)


def main() -> None:
    """Measures, and reports."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--persons", type=int, default=10_000)
    parser.add_argument("--writes", type=int, default=300)
    asked = parser.parse_args()
    facts = machine()
    rows = [measure(name, settings, asked.persons, asked.writes) for name, settings in databases()]
    result = {"machine": facts, "persons": asked.persons, "writes": asked.writes, "rows": rows}
    report("store", result, as_text(result))


def databases() -> Iterator[tuple[str, Settings]]:
    """Each kind of database with its own settings, empty and durable; the servers run while they are asked."""
    with tempfile.TemporaryDirectory() as folder, postgres.servers() as servers:
        yield "SQLite", Settings(home=Path(folder) / "sqlite")
        alone = servers.primary("alone")
        alone.do("CREATE DATABASE onelook")
        yield "PostgreSQL", Settings(home=Path(folder) / "alone", database_url=alone.url("onelook"))
        alone.stop()
        pair = servers.pair("pair")
        yield "PostgreSQL, synchronous standby", Settings(home=Path(folder) / "pair", database_url=pair.url)


def measure(name: str, settings: Settings, persons: int, writes: int) -> dict[str, Any]:
    """Fills the database and measures it; microseconds of the reads, milliseconds of the writes."""
    vectors = strangers(persons)
    began = time.perf_counter()
    fill(settings.home, vectors, "model", settings=settings)
    filled_s = time.perf_counter() - began
    with opened(settings) as store:
        return {
            "name": name,
            "persons_a_second_in_bulk": persons / filled_s,
            "head_us": percentiles(lambda: head(store), QUERIES, 1e6),
            "owners_us": percentiles(lambda: owners(store, persons), QUERIES, 1e6),
            "enrolment_ms": percentiles(lambda: enrol(store, vectors), writes, 1e3),
            "enrolments_a_second": {count: racing(settings, vectors, count, writes) for count in (1, WRITERS)},
        }


@contextmanager
def opened(settings: Settings) -> Iterator[SqlStore]:
    """The store of these settings, as a process has it."""
    store = open_store(settings)
    try:
        yield store
    finally:
        store.close()


def head(store: SqlStore) -> None:
    """What every search begins with."""
    with store.read() as uow:
        uow.changes.head()


def owners(store: SqlStore, persons: int) -> None:
    """What every search ends with."""
    begin = time.perf_counter_ns() % (persons - HITS)
    with store.read() as uow:
        uow.people.owners([f"tpl_s{number}" for number in range(begin, begin + HITS)])


def enrol(store: SqlStore, vectors: Vector) -> None:
    """One person with one template, durably."""
    now, id_ = datetime.now(UTC), f"{threading.get_ident()}_{time.perf_counter_ns()}"
    with store.write() as uow:
        uow.people.add(Person(f"per_{id_}", "Somebody", now, now))
        uow.templates.add(Template(f"tpl_{id_}", f"per_{id_}", "model", QUALITY, now, vectors[0]))
        uow.commit()


def racing(settings: Settings, vectors: Vector, count: int, writes: int) -> float:
    """Enrolments a second of so many writers, each with connections of its own, as processes have them."""

    def write() -> None:
        with opened(settings) as store:
            ready.wait()
            for _ in range(writes // count):
                enrol(store, vectors)
            done.wait()

    ready, done = threading.Barrier(count + 1), threading.Barrier(count + 1)
    writers = [threading.Thread(target=write) for _ in range(count)]
    for writer in writers:
        writer.start()
    ready.wait()
    began = time.perf_counter()
    done.wait()
    took_s = time.perf_counter() - began
    for writer in writers:
        writer.join()
    return writes // count * count / took_s


def percentiles(work: Callable[[], None], times: int, scale: float) -> dict[str, float]:
    """Median and 99th percentile of one call, after a tenth of the calls to warm up."""
    took = []
    for _ in range(times // 10 + times):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * scale)
    took = sorted(took[times // 10 :])
    return {"p50": statistics.median(took), "p99": took[int(0.99 * len(took))]}


def as_text(result: dict[str, Any]) -> str:
    """The paragraph and the table."""
    lines = [
        [
            row["name"],
            *(f"{row[what]['p50']:.0f} / {row[what]['p99']:.0f}" for what in ("head_us", "owners_us")),
            f"{row['enrolment_ms']['p50']:.1f} / {row['enrolment_ms']['p99']:.1f}",
            *(f"{rate:.0f}" for rate in row["enrolments_a_second"].values()),
            f"{row['persons_a_second_in_bulk']:.0f}",
        ]
        for row in result["rows"]
    ]
    header = [
        *("database", "head, us", f"owners of {HITS}, us", "enrolment, ms", "enrolments/s"),
        *(f"with {WRITERS} writers", "persons/s in bulk"),
    ]
    told = f"{result['persons']} persons, {result['writes']} enrolments; p50 / p99."
    return "\n\n".join([describe(result["machine"]), told, table(header, lines)])


if __name__ == "__main__":
    main()
