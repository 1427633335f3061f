"""Server-sent events as they go over the wire: framed, kept alive, and given up where nobody reads them."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import anyio
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

MEDIA_TYPE: Final = "text/event-stream"
# What a browser waits before it comes again.
RETRY: Final = b"retry: 3000\n\n"
COMMENT: Final = b": still here\n\n"
COMMENT_EVERY_S = 15.0
# Who takes nothing for so long has gone, or cannot keep up; coming again replays what was missed.
SEND_S = 30.0


@dataclass(frozen=True, slots=True)
class Event:
    """id: what `Last-Event-ID` will name; None: the browser keeps the one before."""

    name: str
    data: Mapping[str, Any]
    id: int | None = None

    def framed(self) -> bytes:
        """The event as lines; JSON holds no line break of its own."""
        text = json.dumps(self.data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        number = "" if self.id is None else f"id: {self.id}\n"
        return f"{number}event: {self.name}\ndata: {text}\n\n".encode()


class EventStream(StreamingResponse):
    """The pieces as they come, until there are no more or the client goes."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(pieces, headers=headers, media_type=MEDIA_TYPE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends them; ends the connection where the client takes nothing for half a minute."""

        async def send_in_time(message: Message) -> None:
            with anyio.move_on_after(SEND_S) as waiting:
                await send(message)
            if waiting.cancelled_caught:
                raise ClientDisconnect

        await super().__call__(scope, receive, send_in_time)
