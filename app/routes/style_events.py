"""GET /style-jobs/{id}/events: what was told of a render, replayed from any point, and then as it is told."""

import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response

from app.actions.style.events import Told
from app.domain.key import Key
from app.domain.style_job import StyleEvent, StyleJob
from app.errors import Busy, Denied, Unavailable, Unknown
from app.routes import event_stream
from app.routes.access import caller, sent_key
from app.routes.budget import Held
from app.routes.desk import Desk, desk_of
from app.routes.event_stream import Event, EventStream
from app.routes.facts import facts_of
from app.routes.gate import Gate
from app.routes.problems import Crowded
from app.routes.style_job_body import preview_body, style_body

HEADER = "Last-Event-ID"
PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "The `id` of the last event that arrived: what followed it is replayed.",
    "schema": {"type": "integer", "minimum": 0},
}
POLL_S = 0.3


async def stream(request: Request, job_id: str) -> Response:
    """The events of the job; 204 for a caller who has the last one of a job that has ended. Raises UnknownJob, Busy."""
    desk, key = desk_of(request), caller(request)
    known = _last_known(request)
    told = await _told(desk, job_id, key, known or 0)
    if known is not None and told.job.ended and known == told.last:
        return Response(status_code=204)
    seat = Held(desk.style_watchers)
    try:
        seat.take(1)
    except Crowded:
        raise Busy("Too many watch renders: read the job itself, or try again later.") from None
    facts_of(request).at_end.append(seat.give_back)
    gate: Gate = request.app.state.gate
    return EventStream(_Watch(desk, gate, key, sent_key(request), job_id).pieces(known, told))


class _Watch:
    """One caller's look at one job."""

    def __init__(self, desk: Desk, gate: Gate, key: Key, token: str | None, job_id: str) -> None:
        self._desk, self._gate, self._key, self._token, self._job_id = desk, gate, key, token, job_id

    async def pieces(self, known: int | None, told: Told) -> AsyncIterator[bytes]:
        """What goes over the wire, until the job's last event, the end of the service, of the job, or of the key."""
        yield event_stream.RETRY
        try:
            async for piece in self._events(known or 0, told):
                yield piece
        except (Unknown, Unavailable):
            # Removed, or the database is away: whoever comes again is told so.
            return

    async def _events(self, at: int, told: Told) -> AsyncIterator[bytes]:
        if not told.first - 1 <= at <= told.last:
            # What it has cannot be gone on from: the whole job, and then what followed the events that are gone.
            at = told.first - 1
            yield Event("reset", await self._whole(), at).framed()
            told = await _told(self._desk, self._job_id, self._key, at)
        told_at = looked_at = time.monotonic()
        while True:
            for event in told.events:
                at, told_at = event.seq, time.monotonic()
                yield (await self._shown(event, told.job)).framed()
            if (told.job.ended and at >= told.last) or self._gate.phase != "ready":
                return
            if time.monotonic() - looked_at >= event_stream.COMMENT_EVERY_S:
                looked_at = time.monotonic()
                if not await self._may_watch():
                    return
            if time.monotonic() - told_at >= event_stream.COMMENT_EVERY_S:
                told_at = time.monotonic()
                yield event_stream.COMMENT
            if at >= told.last:
                await anyio.sleep(POLL_S)
            told = await _told(self._desk, self._job_id, self._key, at)

    async def _shown(self, event: StyleEvent, job: StyleJob) -> Event:
        data: dict[str, Any] = dict(event.data)
        if event.type == "completed":
            data = await self._whole()
        elif event.type == "progress":
            speed = data.get("steps_per_s")
            rounded = None if speed is None else round(speed, 3)
            data = {"steps": job.steps, "scales": job.scales, **data, "steps_per_s": rounded}
        elif event.type == "preview":
            data = {**data, **preview_body(self._job_id, data["step"])}
        return Event(event.type, data, event.seq)

    async def _whole(self) -> dict[str, Any]:
        return {**style_body(await self._desk.on_watches(self._desk.find_style, self._job_id, self._key))}

    async def _may_watch(self) -> bool:
        """A key that was revoked, or has expired, sees nothing more."""
        try:
            await self._desk.on_rows(self._desk.authenticate, self._token or "")
        except Denied:
            return False
        except Unavailable:
            return True
        return True


async def _told(desk: Desk, job_id: str, key: Key, after: int) -> Told:
    return await desk.on_watches(desk.style_events, job_id, key, after)


def _last_known(request: Request) -> int | None:
    """The id that was sent; -1 for one that was never given out."""
    sent = request.headers.get(HEADER)
    if sent is None:
        return None
    return int(sent) if sent.isascii() and sent.isdecimal() and len(sent) < 16 else -1
