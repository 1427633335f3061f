"""A load generator that costs little: kept connections, one prebuilt request, no thread. Only the standard library.

Run as a process of its own: `python -m benchmarks.load PORT REQUEST_FILE CLIENTS SECONDS`; prints one JSON object.
Each client sends its next request as soon as its answer is complete. It ends by itself, whatever the service does.
"""

import contextlib
import json
import selectors
import socket
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

WARM_S = 1.0
GRACE_S = 30.0
MOST_REQUESTS = 50_000


class Client:
    """One connection: at most one request on its way."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self._request = memoryview(request)
        self._unsent = memoryview(b"")
        self._received = bytearray()
        self.began = 0.0

    def begin(self) -> bool:
        """Sends the request, as much as goes; whether something is left to send."""
        self._received.clear()
        self._unsent = self._request
        self.began = time.perf_counter()
        return self.send()

    def send(self) -> bool:
        """Sends what is left; whether something still is."""
        with contextlib.suppress(BlockingIOError):
            self._unsent = self._unsent[self.socket.send(self._unsent) :]
        return bool(self._unsent)

    def receive(self) -> tuple[int, bytes] | None:
        """(status, body) once the answer is complete. Raises ConnectionError when the service hangs up."""
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionError("the service closed the connection")
        self._received += part
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self._received[:end]).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(self._received) < end + 4 + length:
            return None
        return int(head[9:12]), bytes(self._received[end + 4 :])


def drive(port: int, request: bytes, clients: int, seconds: float) -> dict[str, Any]:
    """Answers that were complete within `seconds`, after a second of warming up."""
    crew = [Client(port, request) for _ in range(clients)]
    selector = selectors.DefaultSelector()
    for each in crew:
        selector.register(each.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, each)
        each.begin()
    start = time.perf_counter() + WARM_S
    end = start + seconds
    answers: list[tuple[float, float, int, bytes]] = []
    running, begun, cpu_before = len(crew), len(crew), time.process_time()
    while running and time.perf_counter() < end + GRACE_S:
        for key, mask in selector.select(timeout=1.0):
            client: Client = key.data
            if mask & selectors.EVENT_WRITE and not client.send():
                selector.modify(client.socket, selectors.EVENT_READ, client)
            answer = client.receive() if mask & selectors.EVENT_READ else None
            if answer is None:
                continue
            now = time.perf_counter()
            answers.append((client.began, now, *answer))
            if now < end and begun < MOST_REQUESTS:
                begun += 1
                if client.begin():
                    selector.modify(client.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, client)
            else:
                running -= 1
                selector.unregister(client.socket)
    cpu_s = time.process_time() - cpu_before
    for each in crew:
        each.socket.close()
    if running:
        raise TimeoutError(f"{running} requests were never answered")
    return {"clients": clients, "seconds": seconds, "client_cpu_s": cpu_s, **_outcome(answers, start, end)}


def _outcome(answers: list[tuple[float, float, int, bytes]], start: float, end: float) -> dict[str, Any]:
    counted = [(ended - began, status, body) for began, ended, status, body in answers if start <= ended <= end]
    bodies = [json.loads(body) for _, _, body in counted]
    return {
        "answers": len(counted),
        "answers_with_warming_up": len(answers),
        "throughput": len(counted) / (end - start),
        "latency_ms": [round(1000 * spent, 3) for spent, _, _ in counted],
        "statuses": dict(Counter(str(status) for _, status, _ in counted)),
        "decisions": dict(Counter(body.get("decision", body.get("code", "")) for body in bodies)),
        "timings_ms": [body["timings_ms"] for body in bodies if "timings_ms" in body],
    }


if __name__ == "__main__":
    port_, file_, clients_, seconds_ = sys.argv[1:]
    print(json.dumps(drive(int(port_), Path(file_).read_bytes(), int(clients_), float(seconds_))))
