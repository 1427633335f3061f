"""One PostgreSQL server as a child of this process: started, killed, paused, promoted, ended."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

START_TIMEOUT_S = 30.0

Begin = Callable[[Path, Path], "subprocess.Popen[bytes]"]


class PostgresFailed(Exception):
    """A program of PostgreSQL failed; the text is what it said."""


class Server:
    """One server and its files."""

    def __init__(self, name: str, data: Path, begin: Begin) -> None:
        """data: the cluster; begin: starts the server on it and lets it write to a log, both by their paths."""
        self.name = name
        self.data = data
        self.port = free_port()
        self._begin = begin
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """URL of a database; anybody who names a user is believed."""
        return f"postgresql://{user}@{self.address}/{database}"

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the server, which must run."""
        assert self._process is not None
        return self._process.pid

    def configure(self, settings: dict[str, str]) -> None:
        """Adds settings; they count from the next start or `reload`."""
        with (self.data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in {"port": str(self.port), **settings}.items())

    def start(self) -> None:
        """Starts it and waits until it answers. Raises PostgresFailed."""
        log = self.data.with_suffix(".log")
        self._process = self._begin(self.data, log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
            except psycopg.OperationalError as e:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise PostgresFailed(f"{self.name} did not start: {log.read_text()[-2000:]}") from e
                time.sleep(0.02)
            else:
                return

    def reload(self) -> None:
        """Lets it read its settings again."""
        os.kill(self.pid, signal.SIGHUP)

    def promote(self) -> None:
        """Makes a standby the primary, and waits until it is."""
        self.do("SELECT pg_promote()")

    def kill(self) -> None:
        """What kill -9 does."""
        assert self._process is not None
        # Its children end by themselves when they find it gone; what they do until then is part of the test.
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """Stops it in its tracks, with every process of its own; connections stay open, and nobody answers."""
        for pid in (self.pid, *self._children()):
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on after `pause`."""
        for pid in (self.pid, *self._children()):
            os.kill(pid, signal.SIGCONT)

    def stop(self, how: int = signal.SIGQUIT) -> None:
        """Ends it, if it runs. how: at once, or with SIGINT as soon as everything is written out."""
        if self._process is not None and self._process.poll() is None:
            self.resume()
            self._process.send_signal(how)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def do(self, statement: str, database: str = "postgres") -> list[Any]:
        """Runs one statement as superuser, outside a transaction; its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload, unused-ignore]
            return cursor.fetchall() if cursor.description else []

    def _children(self) -> list[int]:
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in listed.read_text().split()] if listed.exists() else []


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
