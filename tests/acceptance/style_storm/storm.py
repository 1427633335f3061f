"""Renders, an API and two workers, and `kill -9`: of a worker amid a render, of the API amid a stream, and of both."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.style_storm.process import CHECKPOINT_S
from tests.acceptance.style_storm.renderer import chain
from tests.acceptance.style_storm.watcher import Watcher

REPOSITORY = Path(__file__).resolve().parents[3]
WORKERS = 2
STRIKES = ("worker", "api", "both")
START_S = 60.0


@dataclass
class Outcome:
    """What came of it. again: steps that were made more than once, of all jobs; wrong: what should never happen."""

    jobs: int
    kills: Counter[str] = field(default_factory=Counter)
    interrupted: int = 0
    again: int = 0
    events: int = 0
    torn: int = 0
    wall_s: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Ground:
    """An API on a port that stays, and workers, on one home; each process is killed by its id alone."""

    def __init__(self, folder: Path, step_s: float) -> None:
        self.home, self.journal, self._log = folder / "home", folder / "journal", folder / "log"
        self._step_s = step_s
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def headers(self) -> dict[str, str]:
        """Those of the admin."""
        return {"Authorization": f"Bearer {(self.home / 'admin.key').read_text().strip()}"}

    def start(self, name: str) -> None:
        """Starts `api`, or a worker; does not wait for it."""
        role = "api" if name == "api" else "worker"
        command = [sys.executable, "-m", "tests.acceptance.style_storm.process", role, "--home", str(self.home)]
        command += ["--port", str(self.port), "--journal", str(self.journal), "--step-s", str(self._step_s)]
        own = {key: value for key, value in os.environ.items() if not key.startswith("ONELOOK_")}
        with self._log.open("ab") as log:
            self._processes[name] = subprocess.Popen(command, cwd=REPOSITORY, env=own, stdout=log, stderr=log)

    def until_ready(self) -> None:
        """Waits for the API. Raises TimeoutError."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/health/ready").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise TimeoutError(f"the API did not start:\n{self._log.read_text(errors='replace')[-2000:]}")

    def kill(self, name: str) -> None:
        """SIGKILL."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def rendering(self) -> str | None:
        """The worker that has made the last step; None where it does not run any more."""
        pid = int(self.journal.read_text().splitlines()[-1].split()[2])
        return next((name for name, process in self._processes.items() if process.pid == pid), None)

    def stop(self) -> list[int]:
        """SIGTERM; the statuses."""
        for process in self._processes.values():
            process.terminate()
        return [process.wait(30) for process in self._processes.values()]

    def close(self) -> None:
        """Ends whatever still runs."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def made(self) -> Counter[str]:
        """SHA-256 of a content -> steps that were made of it, each as often as it was made."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        return Counter(line.partition(" ")[0] for line in lines)


def storm(
    folder: Path,
    *,
    jobs: int,
    steps: int,
    step_s: float,
    strikes: int,
    seed: int,
    timeout_s: float,
    tell: Callable[[str], object] = lambda text: None,
) -> Outcome:
    """Sends jobs, watches all of them, and strikes; then compares what came of them with what should."""
    began, outcome, chance = time.monotonic(), Outcome(jobs), random.Random(seed)
    with _ground(folder, step_s) as ground:
        options = {"steps": steps, "seed": seed}
        contents = [f"picture {seed} {number}".encode() for number in range(jobs)]
        sent = [_send(ground, content, options) for content in contents]
        watchers = [Watcher(f"{ground.url}{job['urls']['events']}", ground.headers) for job in sent]
        striking = threading.Thread(target=_strike, args=(ground, watchers, strikes, chance, outcome, tell))
        striking.start()
        try:
            for watcher in watchers:
                watcher.join(max(0.1, began + timeout_s - time.monotonic()))
        except TimeoutError as e:
            outcome.wrong.append(str(e))
        striking.join()
        ground.until_ready()
        made = ground.made()
        for content, job, watcher in zip(contents, sent, watchers, strict=True):
            now = httpx.get(f"{ground.url}{job['urls']['self']}", headers=ground.headers).json()
            _compare(ground, content, options, now, watcher, made, outcome)
        most = sum(outcome.kills.values()) * (WORKERS * 4 * CHECKPOINT_S / step_s + 20)
        if outcome.again > most:
            outcome.wrong.append(f"{outcome.again} steps were made again, after {dict(outcome.kills)}")
        if any(statuses := ground.stop()):
            outcome.wrong.append(f"the processes ended with {statuses}")
    outcome.wall_s = time.monotonic() - began
    return outcome


@contextmanager
def _ground(folder: Path, step_s: float) -> Iterator[Ground]:
    ground = Ground(folder, step_s)
    try:
        ground.start("api")
        ground.until_ready()
        for number in range(WORKERS):
            ground.start(f"worker-{number}")
        yield ground
    finally:
        ground.close()


def _send(ground: Ground, content: bytes, options: dict[str, Any]) -> dict[str, Any]:
    import json

    files = [("content", ("a", content)), ("style", ("b", b"picture of style"))]
    files.append(("options", (None, json.dumps(options).encode())))  # type: ignore[arg-type]
    answer = httpx.post(f"{ground.url}/style-jobs", headers=ground.headers, files=files)  # type: ignore[arg-type]
    assert answer.status_code == 202, answer.text
    sent: dict[str, Any] = answer.json()
    return sent


def _strike(
    ground: Ground,
    watchers: list[Watcher],
    strikes: int,
    chance: random.Random,
    outcome: Outcome,
    tell: Callable[[str], object],
) -> None:
    """Kills while renders are under way, and starts again at once what was killed."""
    for number in range(strikes):
        whom = STRIKES[number % len(STRIKES)]
        at = sum(watcher.step for watcher in watchers)
        deadline = time.monotonic() + START_S
        # Something has moved since the last one: a render is under way.
        while sum(watcher.step for watcher in watchers) <= at and time.monotonic() < deadline:
            if all(watcher.ended for watcher in watchers):
                return
            time.sleep(0.01)
        time.sleep(0.5 * chance.random())
        worker = ground.rendering()
        names = [name for name in ("api" if whom != "worker" else None, worker if whom != "api" else None) if name]
        for name in names:
            ground.kill(name)
        outcome.kills[whom] += 1
        tell(f"kill -9 of {' and '.join(names)}")
        for name in names:
            ground.start(name)
        if "api" in names:
            ground.until_ready()


def _compare(
    ground: Ground,
    content: bytes,
    options: dict[str, Any],
    job: dict[str, Any],
    watcher: Watcher,
    made: Counter[str],
    outcome: Outcome,
) -> None:
    name, wrong = job["id"], outcome.wrong
    outcome.statuses[job["status"]] += 1
    outcome.events += len(watcher.events)
    outcome.torn += watcher.torn
    again = made[job["input"]["content"]["sha256"]] - options["steps"]
    outcome.again += max(0, again)
    begun = [data for _, event, data in watcher.events if event == "status" and data["status"] == "running"]
    outcome.interrupted += len(begun) > 1
    if again < 0:
        wrong.append(f"{name}: {-again} steps were never made")
    if job["status"] != "succeeded":
        wrong.append(f"{name} is {job['status']}: {job['error']}")
        return
    result = httpx.get(f"{ground.url}{job['output']['url']}", headers=ground.headers).content
    if result != chain(content, [b"picture of style"], options):
        wrong.append(f"{name}: a step was lost, or made twice in a row")
    ends = [event for _, event, _ in watcher.events if event == "completed"]
    if len(ends) != 1 or watcher.events[-1][2] != job:
        wrong.append(f"{name} ended {len(ends)} times, or otherwise than it was told")
    if watcher.status_after != 204:
        wrong.append(f"{name}: who has the last event is told {watcher.status_after}")
    wrong.extend(watcher.faults)
