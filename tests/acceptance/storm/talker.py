"""Requests to any of the processes, again and again until one answers."""

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.acceptance.storm.fleet import Fleet

# A request that no process answers for so long is given up, and counted.
PATIENCE_S = 90.0
ANSWER_S = 40.0
PAUSE_S = 0.03
# How long a client that hangs up stays: an enrolment takes some tens of milliseconds.
LONGEST_STAY_S = 0.1


class UndecidedError(Exception):
    """Nobody answered in all that time."""


class UnexpectedError(Exception):
    """An answer that must not be: a 500, or one that is no answer of the service."""


@dataclass(frozen=True)
class Answer:
    """An answer that is not 503; unsure: an earlier attempt of the same request may have been carried out."""

    status: int
    body: dict[str, Any]
    process: int
    unsure: bool
    replayed: bool

    @property
    def code(self) -> str | None:
        """What a refusal is called."""
        return self.body.get("code")


class Traffic:
    """Counts what went over the wire. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()

    def note(self, what: str, times: int = 1) -> None:
        """One more of that."""
        with self._lock:
            self.counts[what] += times


class Talker:
    """Kept connections of one client to every process. Not thread-safe."""

    def __init__(self, fleet: Fleet, key: str, chance: random.Random, traffic: Traffic) -> None:
        self._fleet = fleet
        self._key = key
        self._chance = chance
        self._traffic = traffic
        self._kept: dict[int, tuple[int, http.client.HTTPConnection]] = {}

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        image: bytes | None = None,
        said: Mapping[str, Any] | None = None,
        avoid: int | None = None,
        only: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The first answer that is not 503, of a random process; torn connections and 503 are tried again elsewhere.

        image, said: the body, a picture or JSON; avoid: not that process; only: no other one.

        Raises UndecidedError, UnexpectedError.
        """
        deadline = time.monotonic() + PATIENCE_S
        unsure = False
        while time.monotonic() < deadline:
            answer = self.once(method, path, query, image=image, said=said, avoid=avoid, only=only, headers=headers)
            if answer is not None and answer.status != 503:
                return Answer(answer.status, answer.body, answer.process, unsure, answer.replayed)
            unsure = unsure or answer is None or answer.status == 503
            time.sleep(PAUSE_S)
        raise UndecidedError(f"{method} {path}")

    def once(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        image: bytes | None = None,
        said: Mapping[str, Any] | None = None,
        avoid: int | None = None,
        only: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer | None:
        """One attempt; None where the connection died on the way. Waits for a process that listens."""
        number, port = self._choose(avoid, only)
        target = path if query is None else f"{path}?{urlencode(query)}"
        sent = {"Authorization": f"Bearer {self._key}", **(headers or {})}
        content = json.dumps(said).encode() if said is not None else image
        if content is not None:
            sent["Content-Type"] = "image/jpeg" if said is None else "application/json"
        try:
            connection = self._connection(number, port)
            connection.request(method, target, content, sent)
            response = connection.getresponse()
            received = response.read()
        except (OSError, http.client.HTTPException):
            self._forget(number)
            self._traffic.note("torn")
            return None
        if response.will_close:
            self._forget(number)
        self._traffic.note("answers")
        return self._answer(f"{method} {path}", number, response, received)

    def hang_up(self, path: str, query: Mapping[str, Any], image: bytes, headers: Mapping[str, str]) -> None:
        """Posts it to a random process, and is gone before, or just as, the answer comes."""
        number, port = self._choose(None, None)
        self._forget(number)
        sent = {"Authorization": f"Bearer {self._key}", "Content-Type": "image/jpeg", **headers}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
        try:
            connection.request("POST", f"{path}?{urlencode(query)}", image, sent)
            time.sleep(self._chance.uniform(0.0, LONGEST_STAY_S))
        except (OSError, http.client.HTTPException):
            self._traffic.note("torn")
        finally:
            connection.close()
        self._traffic.note("hung up")

    def close(self) -> None:
        """Closes every connection."""
        for number in list(self._kept):
            self._forget(number)

    def _answer(self, what: str, number: int, response: http.client.HTTPResponse, content: bytes) -> Answer:
        try:
            body = json.loads(content)
        except ValueError:
            raise UnexpectedError(f"{what}: {response.status} that is no JSON") from None
        if response.status >= 500:
            self._traffic.note(f"{response.status} {body.get('code')}")
        if response.status >= 500 and response.status != 503:
            raise UnexpectedError(f"{what}: {response.status} {body.get('code')} from process {number}")
        replayed = response.headers.get("Idempotent-Replayed") == "true"
        if replayed:
            self._traffic.note("replayed")
        return Answer(response.status, body, number, False, replayed)

    def _choose(self, avoid: int | None, only: int | None) -> tuple[int, int]:
        deadline = time.monotonic() + PATIENCE_S
        wanted = [n for n in range(len(self._fleet)) if n != avoid and only in (None, n)]
        while time.monotonic() < deadline:
            listening = [(n, port) for n in wanted if (port := self._fleet.port(n)) is not None]
            if listening:
                return self._chance.choice(listening)
            time.sleep(PAUSE_S)
        raise UndecidedError(f"no process of {wanted} listens")

    def _connection(self, number: int, port: int) -> http.client.HTTPConnection:
        kept = self._kept.get(number)
        if kept is not None and kept[0] == port:
            return kept[1]
        self._forget(number)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
        self._kept[number] = port, connection
        return connection

    def _forget(self, number: int) -> None:
        kept = self._kept.pop(number, None)
        if kept is not None:
            kept[1].close()
