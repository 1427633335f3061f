"""The HTTP protocol of uvicorn and httptools, with bounds on the head of a request, of which they have none."""

import asyncio
from typing import Any

from httptools import HttpParserError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.routes.envelope import safe_headers
from app.routes.facts import sane_request_id
from app.routes.problems import problem

MOST_HEAD_BYTES = 64 * 1024
LONGEST_HEAD_S = 15.0


class BoundedHttp(HttpToolsProtocol):
    """Ends a connection whose request line and headers exceed 64 KiB, or take more than 15 seconds to arrive.

    The same 15 seconds bound whatever comes after an answer and begins no request, such as the rest of a body.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = False
        self._head_bytes = 0
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock: somebody who only connects must not stay."""
        super().connection_made(transport)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops it."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Counts what belongs to a head that was begun before: the parser keeps an unfinished header to itself."""
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self.send_400_response("The head of the request is too long.")
                return
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            # These bytes ended uvicorn's clock of idle connections, and nobody is at work who would end this one.
            self._start_clock()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head, self._head_bytes = True, 0
        self._start_clock()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the request line."""
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self._count(name, value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head has arrived."""
        self._in_head = False
        self._stop_clock()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no request and never gets to the service: as it would, with a problem and safe headers."""
        id_ = sane_request_id(None)
        answer = problem(400, "malformed", msg, id_, None, {"x-request-id": id_, **safe_headers(self.scheme)})
        head = [b"HTTP/1.1 400 Bad Request", b"connection: close"]
        head += [name + b": " + value for name, value in answer.raw_headers]
        self.transport.write(b"\r\n".join((*head, b"", bytes(answer.body))))
        self.transport.close()

    def _count(self, *pieces: bytes) -> None:
        # One chunk from the socket may hold a whole head that is too long.
        self._head_bytes += sum(map(len, pieces))
        if self._head_bytes > 2 * MOST_HEAD_BYTES:  # what came in pieces was counted twice
            raise HttpParserError("too long")

    def _start_clock(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(LONGEST_HEAD_S, self._lose_patience)

    def _stop_clock(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _lose_patience(self) -> None:
        self._patience = None
        self.transport.close()
