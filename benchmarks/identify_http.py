"""How fast POST /identify is, where its time goes, and how much of it is not inference.

    python -m benchmarks.identify_http [--rounds 5] [--seconds 6] [--persons 10000]

One process serves, one makes load, and this one runs the same work bare; they take turns, round after round, and
medians over rounds are compared, so that a machine that others use as well touches both alike.
"""

import argparse
import statistics
import sys
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.bare import STEPS, BareLoop, bare_loop, medians
from benchmarks.gallery import strangers
from benchmarks.machine import describe, machine
from benchmarks.report import report, table, verdict
from benchmarks.service import Service
from benchmarks.serving import LOADS, MANY, ONE, load, serving

ONE_BY_ONE, THROUGH_READER = "one by one", "through the reader"
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
                rounds.append(one_round(service, image, bare, asked.seconds))
    result = {"machine": facts, "info": info, "persons": asked.persons, "seconds": asked.seconds, **summary(rounds)}
    report("identify_http", result, as_text(result))


def one_round(service: Service, image: bytes, bare: BareLoop, seconds: float) -> dict[str, Any]:
    """Every load and every bare loop once; those that are compared stand side by side."""
    loads = {name: load(service, image, name, seconds) for name in LOADS if name not in (ONE, MANY)}
    loads[ONE] = load(service, image, ONE, seconds)
    steps = medians(bare.step_times(seconds))
    rates = {ONE_BY_ONE: asdict(bare.one_by_one(seconds))}
    loads[MANY] = load(service, image, MANY, seconds)
    rates[THROUGH_READER] = asdict(bare.through_reader(seconds, THREADS))
    return {"loads": loads, "bare_steps_ms": steps, "bare": rates}


def summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Throughputs and ratios: medians over rounds; latencies and steps: over all answers of all rounds."""
    loads = {name: _load_summary([one["loads"][name] for one in rounds]) for name in LOADS}
    bare = {
        way: {key: statistics.median(one["bare"][way][key] for one in rounds) for key in ("throughput", "cpu_ms")}
        for way in (ONE_BY_ONE, THROUGH_READER)
    }
    steps = {step: statistics.median(one["bare_steps_ms"][step] for one in rounds) for step in STEPS}
    to_bare = {
        way: [one["loads"][MANY]["throughput"] / one["bare"][way]["throughput"] for one in rounds] for way in bare
    }
    to_steps = [
        statistics.median(one["loads"][ONE]["latency_ms"]) / sum(one["bare_steps_ms"].values()) for one in rounds
    ]
    return {
        "rounds": len(rounds),
        "loads": loads,
        "bare": bare,
        "bare_steps_ms": steps,
        "service_to_bare": {
            way: {"median": statistics.median(ratios), "each_round": ratios} for way, ratios in to_bare.items()
        },
        "bare_cpu_to_service_cpu": bare[THROUGH_READER]["cpu_ms"] / loads[MANY]["service_cpu_ms"],
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
    loads, bare, steps = result["loads"], result["bare"], result["bare_steps_ms"]
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
    to_bare = min(ratio["median"] for ratio in result["service_to_bare"].values())
    to_steps = result["p50_to_steps"]["median"]
    return "\n\n".join(
        (
            describe(result["machine"], result["info"]),
            f"{result['persons']} persons, {result['rounds']} rounds of {result['seconds']:g} s each.",
            speed,
            where,
            f"Bare: {_rate(bare[ONE_BY_ONE])} in {lanes} threads one by one, "
            f"{_rate(bare[THROUGH_READER])} through the reader asked by {THREADS} threads; "
            f"the steps add up to {sum(steps.values()):.2f} ms.",
            "In processor time, which what else runs on the machine hardly touches, the bare loop through the reader "
            f"needs {result['bare_cpu_to_service_cpu']:.0%} of what the service needs for an answer at 16 clients.",
            verdict("service at 16 clients / the better bare loop", to_bare, LEAST_SHARE_OF_BARE)
            + "\n"
            + verdict("p50 at 1 client / sum of the bare steps", to_steps, MOST_OF_STEPS, at_least=False),
        )
    )


def _rate(bare: dict[str, float]) -> str:
    return f"{bare['throughput']:.1f} a second ({bare['cpu_ms']:.1f} CPU ms each)"


if __name__ == "__main__":
    main()
