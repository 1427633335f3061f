"""The processes of the service: started, killed without a word, and started again at once."""

import multiprocessing
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

# Imported once by a process that every other one is forked from: importing takes seconds, a fork milliseconds.
_IMPORTED_BEFORE = [
    *("app.main", "app.cli.api_process", "app.cli.bounded_http", "tests.acceptance.storm.process"),
    *("uvicorn.loops.auto", "uvicorn.lifespan.on", "uvloop", "psycopg", "sqlalchemy.dialects.postgresql.psycopg"),
]
START_S = 60.0


@dataclass(eq=False)
class Running:
    """One life of one process."""

    process: Any
    lifeline: Connection
    began_s: float
    port: int | None = None
    wanted_dead: bool = False


class Fleet:
    """Processes of the service by number, from 0. Thread-safe."""

    def __init__(self, folder: Path, settings: Sequence[dict[str, Any]], *, lease_s: float | None = None) -> None:
        """settings: those of each process; folder: where their logs go; lease_s: as `process.serve` takes."""
        self._folder = folder
        self._settings = settings
        self._lease_s = lease_s
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_IMPORTED_BEFORE)
        self._running: list[Running | None] = [None] * len(settings)
        self._lock = threading.Lock()
        self.deaths: list[str] = []
        self.starts_s: list[float] = []

    def __len__(self) -> int:
        return len(self._settings)

    def port(self, number: int) -> int | None:
        """Where that process listens; None while it does not."""
        running = self._running[number]
        return None if running is None else running.port

    def start(self, number: int) -> None:
        """Starts that process, which must not run; does not wait for it."""
        ours, theirs = self._context.Pipe()
        arguments = (self._settings[number], self.log(number), theirs, self._lease_s)
        process = self._context.Process(target=_serve, args=arguments, daemon=True)
        process.start()
        theirs.close()
        running = self._running[number] = Running(process, ours, time.monotonic())
        threading.Thread(target=self._follow, args=(number, running), daemon=True).start()

    def kill(self, number: int) -> None:
        """SIGKILL, if it runs; returns when it is gone."""
        with self._lock:
            running, self._running[number] = self._running[number], None
        if running is None:
            return
        running.wanted_dead, running.port = True, None
        running.process.kill()
        running.process.join()

    def close(self) -> None:
        """Kills all of them."""
        for number in range(len(self)):
            self.kill(number)

    def log(self, number: int) -> Path:
        """What that process and those before it wrote."""
        return self._folder / f"process-{number}.log"

    def wait_until(self, condition: Callable[[], bool], what: str, timeout_s: float = START_S) -> None:
        """Raises AssertionError, with the ends of the logs, when it does not come true."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline or self.deaths:
                raise AssertionError(f"{what}: {self.deaths}\n{self.tails()}")
            time.sleep(0.02)

    def tails(self) -> str:
        """The ends of all logs."""
        texts = []
        for number in range(len(self)):
            log = self.log(number)
            text = log.read_text(errors="replace")[-3000:] if log.exists() else ""
            texts.append(f"--- process {number}\n{text}")
        return "\n".join(texts)

    def _follow(self, number: int, running: Running) -> None:
        """Hears the port, and then of the end."""
        try:
            running.port = running.lifeline.recv()
            self.starts_s.append(time.monotonic() - running.began_s)
            running.lifeline.recv()
        except (EOFError, OSError):
            running.port = None
        running.process.join()
        running.lifeline.close()
        if not running.wanted_dead:
            self.deaths.append(f"process {number} ended by itself with status {running.process.exitcode}")


def _serve(*arguments: Any) -> None:
    # Imported there and not here: only what is forked from has to load the networks.
    from tests.acceptance.storm.process import serve

    serve(*arguments)


class Killer(threading.Thread):
    """Kills a random process every second to three, sometimes two at once, sometimes all; each is started again."""

    SHORTEST_S, LONGEST_S = 1.0, 3.0

    def __init__(self, fleet: Fleet, seed: int) -> None:
        super().__init__(name="killer", daemon=True)
        self._fleet = fleet
        self._chance = random.Random(f"{seed} killer")
        self._ended = threading.Event()
        self.kills = 0
        self.times: dict[str, int] = {"one": 0, "two at once": 0, "all": 0}

    def run(self) -> None:
        """Until `end`."""
        while not self._ended.wait(self._chance.uniform(self.SHORTEST_S, self.LONGEST_S)):
            kind = self._chance.choices(list(self.times), [80, 14, 6])[0]
            count = {"one": 1, "two at once": 2, "all": len(self._fleet)}[kind]
            self.strike(self._chance.sample(range(len(self._fleet)), count))
            self.times[kind] += 1

    def strike(self, numbers: Sequence[int]) -> None:
        """Kills these, all before the first is started again."""
        for number in numbers:
            self._fleet.kill(number)
            self.kills += 1
        for number in numbers:
            self._fleet.start(number)

    def end(self) -> None:
        """Kills no more; everybody runs when this returns."""
        self._ended.set()
        self.join()
