"""How fast POST /identify is, where its time goes, and how much of it is not inference.

    python -m benchmarks.identify_http [--rounds 5] [--seconds 6] [--persons 10000]

One process serves, one makes load, and this one runs the same work bare; they take turns, round after round, and
medians over rounds are compared, so that a machine that others use as well touches both alike.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from app.settings import Settings
from benchmarks.bare import STEPS, bare_loop, medians
from benchmarks.gallery import fill, strangers
from benchmarks.machine import describe, machine
from benchmarks.picture import multipart_request, picture, raw_request
from benchmarks.report import report, table, verdict
from benchmarks.service import REPOSITORY, Service
from models import weights

# name -> (clients, how the picture is sent)
LOADS = {
    "1, raw body": (1, raw_request),
    "1, multipart": (1, multipart_request),
    "4, raw body": (4, raw_request),
    "16, raw body": (16, raw_request),
    "16, multipart": (16, multipart_request),
}
ONE, MANY = "1, raw body", "16, raw body"
THREADS = 16
SPEEDS = ("throughput", "p50_ms", "p95_ms", "p99_ms", "service_cpu_ms", "client_cpu_ms")
ALL_STEPS = (*STEPS, "queue", "rest")
LEAST_SHARE_OF_BARE, MOST_OF_STEPS = 0.85, 1.2


def main() -> None:
    """Measures, and reports."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--persons", type=int, default=10_000)
    asked = parser.parse_args()
    facts = machine()
    with serving(asked.persons) as (service, image):
        info = service.get("/info")
        with bare_loop(image, strangers(asked.persons), info) as bare:
            rounds = []
            for number in range(asked.rounds):
                print(f"round {number + 1} of {asked.rounds}", file=sys.stderr)
                loads = {name: load(service, image, name, asked.seconds) for name in LOADS}
                steps = bare.step_times(asked.seconds)
                bare_rates = {
                    "one by one": bare.one_by_one(asked.seconds),
                    "through the reader": bare.through_reader(asked.seconds, THREADS),
                }
                rounds.append({"loads": loads, "bare_steps_ms": medians(steps), "bare_throughput": bare_rates})
    result = {"machine": facts, "info": info, "persons": asked.persons, "seconds": asked.seconds, **summary(rounds)}
    report("identify_http", result, as_text(result))


@contextmanager
def serving(persons: int) -> Iterator[tuple[Service, bytes]]:
    """The service with so many people, the one in the picture among them."""
    image, settings = picture(), Settings()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        fill(home, strangers(persons - 1), weights.model_id(settings.model, flip=settings.flip_averaging))
        with Service(home) as service:
            service.post_picture("/enroll", image, name="Somebody", person_id="somebody")
            held = service.get("/info")["galleries"][0]["persons"]
            if held != persons:
                raise RuntimeError(f"the gallery holds {held} persons, not {persons}")
            yield service, image


def load(service: Service, image: bytes, name: str, seconds: float) -> dict[str, Any]:
    """What that load measured. Raises RuntimeError when anything but the right answer came."""
    clients, request = LOADS[name]
    with tempfile.NamedTemporaryFile() as file:
        file.write(request("/identify", image, service.key))
        file.flush()
        command = (sys.executable, "-m", "benchmarks.load", str(service.port), file.name, str(clients), str(seconds))
        before = service.cpu_s()
        done = subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=seconds + 60
        )
        used = service.cpu_s() - before
    if done.returncode:
        raise RuntimeError(done.stderr)
    outcome: dict[str, Any] = json.loads(done.stdout)
    if set(outcome["statuses"]) != {"200"} or set(outcome["decisions"]) != {"recognized"}:
        raise RuntimeError(f"wrong answers: {outcome['statuses']} {outcome['decisions']}")
    return outcome | {"service_cpu_s": used}


def summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Throughputs and ratios: medians over rounds; latencies and steps: over all answers of all rounds."""
    loads = {name: _load_summary([one["loads"][name] for one in rounds]) for name in LOADS}
    bare = {
        name: statistics.median(one["bare_throughput"][name] for one in rounds) for name in rounds[0]["bare_throughput"]
    }
    steps = {step: statistics.median(one["bare_steps_ms"][step] for one in rounds) for step in STEPS}
    to_bare = [one["loads"][MANY]["throughput"] / max(one["bare_throughput"].values()) for one in rounds]
    to_steps = [
        statistics.median(one["loads"][ONE]["latency_ms"]) / sum(one["bare_steps_ms"].values()) for one in rounds
    ]
    return {
        "rounds": len(rounds),
        "loads": loads,
        "bare_throughput": bare,
        "bare_steps_ms": steps,
        "service_to_bare": {"median": statistics.median(to_bare), "each_round": to_bare},
        "p50_to_steps": {"median": statistics.median(to_steps), "each_round": to_steps},
    }


def _load_summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    latency = [ms for run in runs for ms in run["latency_ms"]]
    timings = [timing for run in runs for timing in run["timings_ms"]]
    p50, p95, p99 = np.percentile(latency, (50, 95, 99)).tolist()
    mean = {step: statistics.fmean(timing[step] for timing in timings) for step in ALL_STEPS}
    total = statistics.fmean(timing["total"] for timing in timings)
    requests = sum(run["answers_with_warming_up"] for run in runs)
    return {
        "answers": len(latency),
        "throughput": statistics.median(run["throughput"] for run in runs),
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "mean_ms": statistics.fmean(latency),
        "steps_mean_ms": mean | {"outside": statistics.fmean(latency) - total},
        "client_cpu_ms": 1000 * sum(run["client_cpu_s"] for run in runs) / requests,
        "service_cpu_ms": 1000 * sum(run["service_cpu_s"] for run in runs) / requests,
    }


def as_text(result: dict[str, Any]) -> str:
    """The tables and the ratios, in Markdown."""
    loads, bare, steps = result["loads"], result["bare_throughput"], result["bare_steps_ms"]
    speed = table(
        ("clients", "answers a second", "p50 ms", "p95 ms", "p99 ms", "CPU ms an answer", "client's CPU ms", "answers"),
        [(name, *(f"{one[key]:.1f}" for key in SPEEDS), one["answers"]) for name, one in loads.items()],
    )
    one, many = loads[ONE], loads[MANY]
    where = table(
        ("step", "1 client, ms", "share", "16 clients, ms", "bare, ms"),
        [
            (
                step,
                f"{ms:.2f}",
                f"{ms / one['mean_ms']:.1%}",
                f"{many['steps_mean_ms'][step]:.2f}",
                f"{steps[step]:.2f}" if step in steps else "",
            )
            for step, ms in one["steps_mean_ms"].items()
        ],
    )
    lanes = result["info"]["lanes"]
    to_bare, to_steps = result["service_to_bare"]["median"], result["p50_to_steps"]["median"]
    return "\n\n".join(
        (
            describe(result["machine"], result["info"]),
            f"{result['persons']} persons, {result['rounds']} rounds of {result['seconds']:g} s each.",
            speed,
            where,
            f"Bare: {bare['one by one']:.1f} a second in {lanes} threads one by one, "
            f"{bare['through the reader']:.1f} a second through the reader asked by {THREADS} threads; "
            f"the steps add up to {sum(steps.values()):.2f} ms.",
            verdict("service at 16 clients / the better bare loop", to_bare, LEAST_SHARE_OF_BARE)
            + "\n"
            + verdict("p50 at 1 client / sum of the bare steps", to_steps, MOST_OF_STEPS, at_least=False),
        )
    )


if __name__ == "__main__":
    main()
