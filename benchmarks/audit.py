"""What the audit trail costs: identifications with and without it, side by side, and rows checked a second.

The action is called from 16 threads, as 16 clients at /identify would have it called, without HTTP around it, so that
the trail's share is as large as it can be.
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from app.actions.audit import VerifyAudit
from app.actions.enroll import Enrolment
from app.actions.identify import Question
from app.actions.trail import NO_TRAIL, QueuedTrail
from app.assembly.parts import open_store
from app.cli.home import open_desk
from app.clock import SystemClock
from app.domain.audit import Entry
from app.inference.encoders import wanted_model
from app.settings import Settings
from benchmarks.gallery import fill, strangers
from benchmarks.machine import describe, machine
from benchmarks.picture import picture
from benchmarks.report import report, table, verdict

THREADS = 16
MOST_COST = 1.05
GROUP = 500


def main() -> None:
    """Measures, and reports."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--persons", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=100_000)
    asked = parser.parse_args()
    facts = machine()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder) / "home")
        fill(settings.home, strangers(asked.persons - 1), wanted_model(settings))
        rounds = identifications(settings, asked.rounds, asked.seconds)
        trail = rows_of_a_trail(settings, asked.rows)
    result = {"machine": facts, "persons": asked.persons, "seconds": asked.seconds, "rounds": rounds, "trail": trail}
    report("audit", result, as_text(result))


def identifications(settings: Settings, rounds: int, seconds: float) -> list[dict[str, dict[str, float]]]:
    """Each round once with the trail and once without; the order changes from round to round."""
    image = picture()
    with open_desk(settings) as desk:
        desk.enroll(image, Enrolment(name="Somebody", person_id="somebody"))
        ways = {"with": desk.identify, "without": replace(desk.identify, trail=NO_TRAIL)}
        measured = []
        for number in range(rounds):
            names = list(ways) if number % 2 else list(reversed(ways))
            measured.append({name: load(partial(ways[name], image, Question()), seconds) for name in names})
        return measured


def load(work: Callable[[], object], seconds: float) -> dict[str, float]:
    """Answers a second, their processor milliseconds, and p50 and p99 in ms."""
    times: list[float] = []
    end = time.perf_counter() + seconds

    def client() -> None:
        while (began := time.perf_counter()) < end:
            work()
            times.append(time.perf_counter() - began)

    cpu = time.process_time()
    threads = [threading.Thread(target=client) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cpu = time.process_time() - cpu
    times.sort()
    return {
        "throughput": len(times) / seconds,
        "cpu_ms": 1000 * cpu / len(times),
        "p50_ms": 1000 * times[len(times) // 2],
        "p99_ms": 1000 * times[len(times) * 99 // 100],
    }


def rows_of_a_trail(settings: Settings, rows: int) -> dict[str, float]:
    """Rows of recognized persons a second: written in groups, noted (how long a caller is held up), and checked."""
    store, clock = open_store(settings), SystemClock()
    now = datetime.now(UTC)

    def entry(number: int) -> Entry:
        private = {"template_id": f"tpl_s{number % 1000}", "similarity": 0.75}
        facts = {"threshold": 0.5, "target": {"kind": "fpir", "value": 0.01}, "support": "measured"}
        whose = f"stranger_{number % 1000}"
        return Entry("face.identified", now, "recognized", whose, private, gallery="all", facts=facts, seen=True)

    trail = QueuedTrail(store, clock, most=10 * rows)
    began = time.perf_counter()
    for number in range(rows):
        trail.note(entry(number))
    noted = time.perf_counter()
    trail.close(600)
    written = time.perf_counter()
    found = VerifyAudit(store)()
    checked = time.perf_counter()
    if not found.ok or found.rows < rows:
        raise RuntimeError("the trail is not what was written")
    store.close()
    return {
        "rows": found.rows,
        "note_us": 1e6 * (noted - began) / rows,
        "written_per_s": rows / (written - began),
        "checked_per_s": found.rows / (checked - written),
    }


def as_text(result: dict[str, Any]) -> str:
    """The table and the ratios, in Markdown."""
    rounds, trail = result["rounds"], result["trail"]
    keys = ("throughput", "cpu_ms", "p50_ms", "p99_ms")
    lines = [(way, *(f"{statistics.median(one[way][key] for one in rounds):.1f}" for key in keys)) for way in rounds[0]]
    cpu = [one["with"]["cpu_ms"] / one["without"]["cpu_ms"] for one in rounds]
    rate = [one["without"]["throughput"] / one["with"]["throughput"] for one in rounds]
    return "\n\n".join(
        (
            describe(result["machine"]),
            f"{result['persons']} persons, {THREADS} threads, {len(rounds)} rounds of {result['seconds']:g} s each.",
            table(("trail", "answers a second", "CPU ms an answer", "p50 ms", "p99 ms"), sorted(lines)),
            f"A caller is held up for {trail['note_us']:.0f} us a row; {trail['written_per_s']:.0f} rows a second are "
            f"sealed, chained and committed, and {trail['checked_per_s']:.0f} a second are checked "
            f"({trail['rows']:.0f} rows).",
            verdict("CPU an answer with the trail / without", statistics.median(cpu), MOST_COST, at_least=False)
            + f" (each round: {', '.join(f'{one:.3f}' for one in cpu)})\n"
            + verdict("answers a second without / with", statistics.median(rate), MOST_COST, at_least=False)
            + f" (each round: {', '.join(f'{one:.3f}' for one in rate)})",
        )
    )


if __name__ == "__main__":
    main()
