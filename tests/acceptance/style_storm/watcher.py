"""A client that watches a render: it comes again with the last id that it has, however often the service goes."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx


class Watcher:
    """Watches one job in a thread of its own until its last event. faults: what should never have come."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._url, self._headers = url, headers
        self.events: list[tuple[int, str, dict[str, Any]]] = []
        self.torn, self.status_after = 0, 0
        self.faults: list[str] = []
        self._open = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def until(self, condition: Callable[["Watcher"], bool], timeout_s: float) -> None:
        """Waits for it. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while not condition(self):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._url}: {self.events[-3:]}, {self.faults}")
            time.sleep(0.01)

    def join(self, timeout_s: float) -> None:
        """Waits for the last event. Raises TimeoutError."""
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._stop.set()
            raise TimeoutError(f"{self._url} did not end: {self.events[-3:]}, {self.faults}")

    @property
    def last(self) -> int:
        """The id of the last event that came; 0 before the first."""
        return self.events[-1][0] if self.events else 0

    @property
    def step(self) -> int:
        """How far the render is, as far as was told."""
        return max((data["step"] for _, name, data in self.events if name == "progress"), default=0)

    @property
    def ended(self) -> bool:
        """Whether the last event has come."""
        return bool(self.events) and self.events[-1][1] == "completed"

    def _watch(self) -> None:
        with httpx.Client(timeout=20) as client:
            while not self.ended and not self._stop.is_set():
                try:
                    self._listen(client)
                except httpx.TransportError:
                    self.torn += self._open
                    self._open = False
                    time.sleep(0.1)
            # Whoever has the last event shall not come again.
            while not self._stop.is_set() and self.status_after == 0:
                try:
                    headers = {**self._headers, "Last-Event-ID": str(self.last)}
                    self.status_after = client.get(self._url, headers=headers).status_code
                except httpx.TransportError:
                    time.sleep(0.1)

    def _listen(self, client: httpx.Client) -> None:
        headers = {**self._headers, **({"Last-Event-ID": str(self.last)} if self.events else {})}
        with client.stream("GET", self._url, headers=headers) as answer:
            self._open = answer.status_code == 200
            if answer.status_code != 200:
                # While it starts and stops; anything else is wrong.
                if answer.status_code != 503:
                    self.faults.append(f"{self._url} answered {answer.status_code}")
                    self._stop.set()
                time.sleep(0.1)
                return
            for id_, name, data in _events(answer.iter_lines()):
                if name == "reset" or id_ != self.last + 1:
                    self.faults.append(f"{self._url}: {name} {id_} came after {self.last}")
                self.events.append((id_, name, data))


def _events(lines: Iterator[str]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    told: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            told[name] = value
            continue
        if "event" in told:
            yield int(told["id"]), told["event"], json.loads(told["data"])
        told = {}
