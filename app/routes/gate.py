"""Who is let in while the service starts and stops."""

import asyncio
from typing import Literal

from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import NotReady, ShuttingDown
from app.routes.facts import PLACE
from app.routes.problems import problem_of

Phase = Literal["starting", "filling", "ready", "stopping"]
# They answer in every phase.
ALWAYS = ("/health/", "/openapi.json", "/docs", "/metrics")


class Gate:
    """starting: parts are made; filling: the index is being read from the rows; then ready, and stopping."""

    def __init__(self) -> None:
        self.phase: Phase = "starting"
        self._running = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def running(self) -> int:
        """Requests that are being worked on."""
        return self._running

    def stop(self) -> None:
        """From now on new work gets 503 `shutting_down`; what runs goes on. May be called more than once."""
        self.phase = "stopping"

    async def until_empty(self, grace_s: float) -> bool:
        """Waits for what runs, `grace_s` seconds at most; whether all of it ended."""
        try:
            await asyncio.wait_for(self._empty.wait(), grace_s)
        except TimeoutError:
            return False
        return True

    def enter(self) -> None:
        """One request more."""
        self._running += 1
        self._empty.clear()

    def leave(self) -> None:
        """One request less."""
        self._running -= 1
        if not self._running:
            self._empty.set()


class GateKeeper:
    """Pure ASGI: refuses with 503 outside the phase `ready`, and counts what runs."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything but HTTP through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._gate.phase != "ready" and not scope["path"].startswith(ALWAYS):
            error = ShuttingDown() if self._gate.phase == "stopping" else NotReady()
            await problem_of(error, scope[PLACE].request_id)(scope, receive, send)
            return
        self._gate.enter()
        try:
            await self._app(scope, receive, send)
        finally:
            self._gate.leave()
