"""Several API processes on the same sockets: started, watched, started again when they end, and ended together."""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.plainly import REFUSED, UNUSABLE
from app.cli.share import ASK_EVERY_S, CLOSING_S, GRACES, VERB
from app.routes.remembered import GOOD_KEYS, SIZE
from app.settings import PREFIX, Settings

if TYPE_CHECKING:
    from app.routes.log import Log

COMMAND = (sys.executable, "-m", "app.cli", VERB)
FIRST = 1
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
# One that served for so long did not end because it cannot start.
STEADY_AFTER_S = 60.0
REAP_S = 5.0


@dataclass(slots=True, eq=False)
class Worker:
    """A running process; lifeline: closes when it ends, and says before that it serves; serves_since_s: None before."""

    number: int
    process: subprocess.Popen[bytes]
    lifeline: socket.socket
    began_s: float
    serves_since_s: float | None = None
    said: bytes = b""


class Supervisor:
    """Keeps `settings.workers` processes serving. Used once, in the main thread; POSIX only.

    The first is started alone: what is wrong with settings, database or weights is told once, by it, and the precision
    that it chose holds for all. One that ends is started again after half a second, then twice as long each time, half
    a minute at most. Should this process be killed, each worker sees its lifeline close, and ends too.
    """

    def __init__(
        self,
        settings: Settings,
        sockets: Sequence[socket.socket],
        log: "Log",
        announce: Callable[[], object],
        *,
        command: Sequence[str] = COMMAND,
        first_pause_s: float = FIRST_PAUSE_S,
        ending: Callable[[], object] = lambda: None,
    ) -> None:
        """sockets: bound, closed when it ends; announce: called once the first process serves; ending: as it ends."""
        self._settings = settings
        self._sockets = sockets
        self._log = log
        self._announce = announce
        self._command = command
        self._first_pause_s = first_pause_s
        self._ending = ending
        self._selector = selectors.DefaultSelector()
        self._workers: dict[int, Worker] = {}
        self._due_s: dict[int, float] = {FIRST: 0.0}
        self._pause_s: dict[int, float] = {}
        self._have_served: set[int] = set()
        self._chosen: dict[str, str] = {}
        self._signals: list[int] = []
        self._status: int | None = None

    def run(self) -> int:
        """Runs until SIGTERM or SIGINT: 0; or until a process is refused at its first start: its status, not 0."""
        with self._signals_noted(), tempfile.TemporaryDirectory(prefix="onelook-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            (folder / GOOD_KEYS).write_bytes(bytes(SIZE))
            try:
                while self._status is None and not self._signals:
                    self._start_what_is_due(folder)
                    soonest_s = min(self._due_s.values(), default=None)
                    self._hear(None if soonest_s is None else max(0.0, soonest_s - time.monotonic()), folder)
                status = self._status or 0
            finally:
                was_killed = self._end(folder)
        self._log.info("all workers ended", killed=was_killed)
        return status or (REFUSED if was_killed else 0)

    def _start_what_is_due(self, folder: Path) -> None:
        for number in [number for number, at_s in self._due_s.items() if at_s <= time.monotonic()]:
            del self._due_s[number]
            self._start(number, folder)

    def _start(self, number: int, folder: Path) -> None:
        ours, theirs = socket.socketpair()
        given = [str(one.fileno()) for one in self._sockets]
        command = [*self._command, "--number", str(number), "--sockets", ",".join(given)]
        command += ["--lifeline", str(theirs.fileno()), "--folder", str(folder)]
        own = dict(os.environ)
        if self._chosen:
            command += ["--why", self._chosen["why"]]
            own[f"{PREFIX}PRECISION"] = self._chosen["precision"]
        with theirs:
            # Of a group of its own: Ctrl-C in a terminal comes to this process alone, which passes it on.
            process = subprocess.Popen(  # noqa: S603 - our own verb, and no shell
                command,
                env=own,
                stdin=subprocess.DEVNULL,
                pass_fds=(*map(int, given), theirs.fileno()),
                process_group=0,
            )
        worker = self._workers[number] = Worker(number, process, ours, time.monotonic())
        self._selector.register(ours, selectors.EVENT_READ, worker)

    def _hear(self, timeout_s: float | None, folder: Path) -> None:
        """Waits for something to happen, or the time to pass, and does what follows from it."""
        for key, _ in self._selector.select(timeout_s):
            worker = key.data
            if worker is None:  # a signal has come; its handler has noted which
                key.fileobj.recv(1024)  # type: ignore[union-attr]
                continue
            heard = _received(worker.lifeline)
            worker.said += heard
            if not heard:
                self._on_end(worker, folder)
            elif worker.said.endswith(b"\n"):
                self._on_serving(worker, json.loads(worker.said))

    def _on_serving(self, worker: Worker, chosen: dict[str, str]) -> None:
        worker.serves_since_s = time.monotonic()
        ms = round(1000 * (worker.serves_since_s - worker.began_s))
        self._log.info("a worker serves", worker=worker.number, pid=worker.process.pid, ms=ms)
        if not self._have_served:
            if chosen["precision"] in ("float32", "bfloat16"):
                self._chosen = chosen
            self._announce()
            self._due_s = dict.fromkeys(range(FIRST + 1, self._settings.workers + 1), 0.0)
        self._have_served.add(worker.number)

    def _on_end(self, worker: Worker, folder: Path) -> None:
        status = self._reap(worker, folder)
        facts: dict[str, Any] = {"worker": worker.number, "pid": worker.process.pid, **_how(status)}
        if self._signals or self._status is not None:
            self._log.info("a worker ended", **facts)
            return
        refused = worker.number not in self._have_served and status in (REFUSED, UNUSABLE)
        if refused or not self._have_served:
            self._status = status if status > 0 else REFUSED
            self._log.error("a worker cannot start", **facts)
            return
        pause_s = self._next_pause_s(worker)
        self._due_s[worker.number] = time.monotonic() + pause_s
        self._log.error("a worker ended and is started again", **facts, pause_s=pause_s)

    def _next_pause_s(self, worker: Worker) -> float:
        since_s = worker.serves_since_s
        if since_s is not None and time.monotonic() - since_s >= STEADY_AFTER_S:
            self._pause_s.pop(worker.number, None)
        pause_s = self._pause_s.get(worker.number, self._first_pause_s)
        self._pause_s[worker.number] = min(2 * pause_s, LONGEST_PAUSE_S)
        return pause_s

    def _reap(self, worker: Worker, folder: Path) -> int:
        from prometheus_client.multiprocess import mark_process_dead

        del self._workers[worker.number]
        self._selector.unregister(worker.lifeline)
        worker.lifeline.close()
        try:
            status = worker.process.wait(REAP_S)
        except subprocess.TimeoutExpired:  # it lost its lifeline, and lives
            worker.process.kill()
            status = worker.process.wait()
        mark_process_dead(worker.number, str(folder))  # type: ignore[no-untyped-call]
        return status

    def _end(self, folder: Path) -> bool:
        """Ends every process: told by signal, again and again, and killed when the time is over; whether one was."""
        self._ending()
        for one in self._sockets:
            one.close()
        self._signals = self._signals or [signal.SIGTERM]
        passed_on, ask_at_s = 0, 0.0
        deadline_s = time.monotonic() + GRACES * self._settings.shutdown_grace_s + CLOSING_S
        while self._workers and (now_s := time.monotonic()) < deadline_s:
            # A second Ctrl-C goes to the processes as such: they then wait for nothing.
            fresh, passed_on = self._signals[passed_on:], len(self._signals)
            if not fresh and now_s >= ask_at_s:
                fresh = [signal.SIGTERM]
            for number in fresh:
                ask_at_s = now_s + ASK_EVERY_S
                for worker in self._workers.values():
                    worker.process.send_signal(number)
            self._hear(max(0.0, ask_at_s - time.monotonic()), folder)
        left = list(self._workers.values())
        for worker in left:
            worker.process.kill()
            self._on_end(worker, folder)
        return bool(left)

    @contextmanager
    def _signals_noted(self) -> Iterator[None]:
        """SIGTERM and SIGINT go into `self._signals`, and end the waiting of the selector."""
        hears, wakes = socket.socketpair()
        wakes.setblocking(False)
        self._selector.register(hears, selectors.EVENT_READ, None)
        before = {n: signal.signal(n, lambda n, _: self._signals.append(n)) for n in (signal.SIGTERM, signal.SIGINT)}
        woke_before = signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(woke_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            hears.close()
            wakes.close()


def _received(lifeline: socket.socket) -> bytes:
    try:
        return lifeline.recv(65536)
    except ConnectionResetError:
        return b""


def _how(status: int) -> dict[str, Any]:
    return {"status": status} if status >= 0 else {"signal": signal.Signals(-status).name}
