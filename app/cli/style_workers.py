"""The processes that render, beside those that answer: started, started again when they end, and ended with them."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.cli.share import CLOSING_S, GRACES
from app.settings import Settings

if TYPE_CHECKING:
    from app.routes.log import Log

COMMAND = (sys.executable, "-m", "app.cli", "work")
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
# One that ran for so long did not end because it cannot start.
STEADY_AFTER_S = 60.0
REAP_S = 5.0


class StyleWorkers:
    """Keeps `settings.style_workers` processes at work, each watched by a thread. POSIX only; elsewhere there are none.

    One that ends is started again after half a second, then twice as long each time, half a minute at most. Each holds
    the other end of a socket pair: when it closes, which the system does should this process be killed, the worker
    keeps what it has rendered, gives the job back, and ends too. Nothing of this waits for a render.
    """

    def __init__(
        self,
        settings: Settings,
        log: "Log",
        *,
        command: Sequence[str] = COMMAND,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._log = log
        self._command = command
        self._first_pause_s = first_pause_s
        self._patience_s = GRACES * settings.shutdown_grace_s + CLOSING_S
        self._ending = threading.Event()
        # The end may be asked for by a signal, amid anything that the main thread does.
        self._lock = threading.RLock()
        self._lifelines: dict[int, socket.socket] = {}
        count = settings.style_workers if os.name == "posix" else 0
        self._threads = [
            threading.Thread(target=self._keep, args=(number,), name=f"style-worker-{number}", daemon=True)
            for number in range(1, count + 1)
        ]

    def start(self) -> None:
        """Starts them; more than once is harmless, and so is it after the end."""
        for thread in self._threads:
            if thread.ident is None and not self._ending.is_set():
                thread.start()

    def end(self) -> None:
        """Has them keep what they have and end; does not wait. May be called more than once."""
        self._ending.set()
        with self._lock:
            for lifeline in self._lifelines.values():
                _cut(lifeline)

    def close(self) -> None:
        """Ends them, and waits until they have; who does not end within the grace of the settings is killed."""
        self.end()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _keep(self, number: int) -> None:
        pause_s = self._first_pause_s
        while not self._ending.is_set():
            began_s = time.monotonic()
            status = self._run(number)
            if self._ending.is_set():
                return
            if time.monotonic() - began_s >= STEADY_AFTER_S:
                pause_s = self._first_pause_s
            facts = {"style_worker": number, **_how(status), "pause_s": pause_s}
            self._log.error("a style worker ended and is started again", **facts)
            self._ending.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _run(self, number: int) -> int:
        """Starts one, and waits for its end; its status."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                process = subprocess.Popen(  # noqa: S603 - our own verb, and no shell
                    [*self._command, "--number", str(number), "--lifeline", str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    process_group=0,
                )
            with self._lock:
                self._lifelines[number] = ours
                if self._ending.is_set():
                    _cut(ours)
            self._log.info("a style worker was started", style_worker=number, pid=process.pid)
            _until_cut(ours)
            with self._lock:
                del self._lifelines[number]
        try:
            return process.wait(self._patience_s if self._ending.is_set() else REAP_S)
        except subprocess.TimeoutExpired:  # it lost its lifeline, and lives
            process.kill()
            return process.wait()


def _cut(lifeline: socket.socket) -> None:
    try:
        lifeline.shutdown(socket.SHUT_RDWR)
    except OSError:  # its other end is gone already
        return


def _until_cut(lifeline: socket.socket) -> None:
    try:
        while lifeline.recv(1024):
            pass
    except OSError:
        return


def _how(status: int) -> dict[str, Any]:
    return {"status": status} if status >= 0 else {"signal": signal.Signals(-status).name}
