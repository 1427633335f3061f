"""Which history of a PostgreSQL cluster was the newest: what tells its primary from one that was replaced."""

import os
import threading
from pathlib import Path

from app.store.database import Report


class TimelineMemory:
    """The cluster's identity and its newest timeline, in memory and, where a path is given, in a file.

    A promotion begins a new timeline with a higher number. The file has a line `system timeline` for each that was
    seen: processes append to it and never rewrite it, so that none undoes what another has noted. Thread-safe.
    """

    def __init__(self, path: Path | None, report: Report) -> None:
        self.path = path
        self._report = report
        self._lock = threading.Lock()
        self._system: str | None = None
        self._timeline = 0

    @property
    def system(self) -> str | None:
        """The identity of the cluster; None before one was seen."""
        return self._system

    @property
    def timeline(self) -> int:
        """The newest timeline that was seen; 0 before one was seen."""
        return self._timeline

    def refresh(self) -> None:
        """Takes over what other processes have noted."""
        with self._lock:
            self._read()

    def note(self, system: str, timeline: int) -> None:
        """Remembers the timeline of that cluster, for good if the file can be written."""
        with self._lock:
            if timeline <= self._timeline:
                return
            self._system, self._timeline = self._system or system, timeline
            try:
                self._append(f"\n{system} {timeline}\n")
            except OSError as e:
                self._report(f"{self.path} cannot be written, and would forget timeline {timeline}: {e.strerror}")

    def _read(self) -> None:
        if self.path is None or not self.path.exists():
            return
        try:
            text = self.path.read_text(encoding="ascii", errors="replace")
        except OSError as e:
            self._report(f"{self.path} cannot be read: {e.strerror}")
            return
        for words in (line.split() for line in text.splitlines()):
            # A line that a crash cut short is passed over; each begins with a line end of its own.
            if len(words) == 2 and all(word.isdecimal() for word in words):
                self._system = self._system or words[0]
                if words[0] == self._system:
                    self._timeline = max(self._timeline, int(words[1]))

    def _append(self, line: str) -> None:
        if self.path is None:
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line.encode("ascii"))
            os.fsync(file)
        finally:
            os.close(file)
