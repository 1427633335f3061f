"""The same job by the peers: `face_recognition`, and OpenCV 4's FaceDetectorYN with FaceRecognizerSF, in bare loops.

    python -m benchmarks.prepare_peers      once: makes build/peers by pip
    python -m benchmarks.peers [--rounds 3] [--seconds 8]

The same JPEG, a comparison with as many people. Each peer runs as one loop with its default threads, and as many loops
side by side as there are cores, in one process and in several; ours is the whole service over HTTP at 16 clients, and
at one. All of them take turns in one run.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, machine
from benchmarks.prepare_peers import MODELS, PYTHON
from benchmarks.report import report, table, verdict
from benchmarks.service import REPOSITORY
from benchmarks.serving import MANY, ONE, load, serving

PERSONS = 10_000
ANSWER_S = 120.0
# Over one loop of each peer, which is what people write.
BARS = {"face_recognition": 6.0, "opencv": 2.0}


@dataclass(frozen=True, slots=True)
class Setting:
    """How a peer runs: processes, loops in each, threads within one picture (0: the peer's default)."""

    peer: str
    name: str
    processes: int
    threads: int
    own_threads: int


def settings(cores: int) -> list[Setting]:
    """One loop first; then the two ways to use every core."""
    return [
        setting
        for peer in BARS
        for setting in (
            Setting(peer, "one loop", 1, 1, 0),
            Setting(peer, f"{cores} threads", 1, cores, 1),
            Setting(peer, f"{cores} processes", cores, 1, 1),
        )
    ]


def main() -> None:
    """Measures, and reports."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    asked = parser.parse_args()
    if not PYTHON.exists():
        sys.exit("build/peers is not there: `python -m benchmarks.prepare_peers` makes it")
    facts = machine()
    rounds: list[dict[str, Any]] = []
    with serving(PERSONS) as (service, image), tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        file.write(image)
        file.flush()
        info = service.get("/info")
        for number in range(asked.rounds):
            print(f"round {number + 1} of {asked.rounds}", file=sys.stderr)
            ours = {name: load(service, image, name, asked.seconds) for name in (MANY, ONE)}
            one: dict[str, Any] = {"ours": {name: _ours(run) for name, run in ours.items()}, "peers": {}}
            for setting in settings(facts["cores"]):
                with running(setting, Path(file.name)) as crew:
                    one["peers"][f"{setting.peer}, {setting.name}"] = measure(crew, asked.seconds)
            rounds.append(one)
    result = {"machine": facts, "info": info, "seconds": asked.seconds, **summary(rounds)}
    report("peers", result, as_text(result))


@contextmanager
def running(setting: Setting, picture: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """The processes of that setting, loaded and waiting."""
    command = (PYTHON, REPOSITORY / "benchmarks" / "peer_loop.py", setting.peer, picture)
    with ExitStack() as stack:
        crew = []
        for _ in range(setting.processes):
            process = subprocess.Popen(
                [*map(str, command), str(setting.threads), str(setting.own_threads), str(MODELS)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=_environment(setting.own_threads),
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            crew.append(process)
        for process in crew:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(f"{setting.peer} did not start")
        yield crew


def measure(crew: list[subprocess.Popen[str]], seconds: float) -> dict[str, Any]:
    """All of them at once; pictures a second of all together, and the median time of one picture."""
    for process in crew:
        assert process.stdin is not None
        process.stdin.write(f"{seconds}\n")
        process.stdin.flush()
    outcomes = []
    for process in crew:
        assert process.stdout is not None
        outcomes.append(json.loads(process.stdout.readline()))
    return {
        "throughput": sum(one["done"] for one in outcomes) / seconds,
        "ms": statistics.median(one["ms"] for one in outcomes),
        "steps_ms": outcomes[0]["steps_ms"],
    }


def _environment(own_threads: int) -> dict[str, str]:
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(own_threads)) if own_threads else {}
    return {**os.environ, **limits}


def _ours(run: dict[str, Any]) -> dict[str, Any]:
    return {"throughput": run["throughput"], "ms": statistics.median(run["latency_ms"])}


def summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over rounds, and the ratios of ours at 16 clients to each way of each peer."""
    ours = {name: _medians([one["ours"][name] for one in rounds]) for name in rounds[0]["ours"]}
    peers = {name: _medians([one["peers"][name] for one in rounds]) for name in rounds[0]["peers"]}
    ratios = {
        name: statistics.median(one["ours"][MANY]["throughput"] / one["peers"][name]["throughput"] for one in rounds)
        for name in peers
    }
    return {"rounds": len(rounds), "ours": ours, "peers": peers, "ours_to_peers": ratios}


def _medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    steps = runs[0].get("steps_ms", {})
    return {
        "throughput": statistics.median(run["throughput"] for run in runs),
        "ms": statistics.median(run["ms"] for run in runs),
        "steps_ms": {step: statistics.median(run["steps_ms"][step] for run in runs) for step in steps},
    }


def as_text(result: dict[str, Any]) -> str:
    """The table and the ratios, in Markdown."""
    rows: list[tuple[object, ...]] = [
        (f"ours over HTTP, clients: {name}", f"{one['throughput']:.1f}", f"{one['ms']:.1f}", "", "")
        for name, one in result["ours"].items()
    ]
    for name, one in result["peers"].items():
        steps = ", ".join(f"{step} {ms:.1f}" for step, ms in one["steps_ms"].items())
        rows.append(
            (name, f"{one['throughput']:.1f}", f"{one['ms']:.1f}", f"{result['ours_to_peers'][name]:.1f}", steps)
        )
    header = ("who", "pictures a second", "median ms a picture", "ours at 16 clients is so many times it", "steps, ms")
    bars = [
        verdict(f"ours at 16 clients / {peer}, one loop", result["ours_to_peers"][f"{peer}, one loop"], bar)
        for peer, bar in BARS.items()
    ]
    best = [f"- ours at 16 clients / {peer}, its best way here: {_at_its_best(result, peer):.2f}" for peer in BARS]
    return "\n\n".join((describe(result["machine"], result["info"]), table(header, rows), "\n".join((*bars, *best))))


def _at_its_best(result: dict[str, Any], peer: str) -> float:
    ratios: dict[str, float] = result["ours_to_peers"]
    return min(ratio for name, ratio in ratios.items() if name.startswith(f"{peer},"))


if __name__ == "__main__":
    main()
