"""A batch on its way in: into a file as it comes, never whole in memory; and its lines, later, one by one."""

import errno
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

import anyio
from starlette.requests import Request

from app.actions.enroll import Enrolment
from app.errors import Busy, UnsupportedMedia
from app.ports import Draft, Spool
from app.routes import body
from app.routes.budget import Held
from app.routes.desk import Desk
from app.routes.enroll import FORM
from app.routes.facts import facts_of
from app.routes.problems import BodyTooLarge, SlowBody

Form = Literal["zip", "lines"]
FORMS: Mapping[str, Form] = {
    "application/zip": "zip",
    "application/x-zip-compressed": "zip",
    "application/x-ndjson": "lines",
    "application/ndjson": "lines",
    "application/jsonl": "lines",
}
# Files that may lie in one home: what more is sent waits at the sender's.
MOST_FILES = 64
PIECE_BYTES = 1024 * 1024


def form_of(request: Request) -> Form:
    """What the Content-Type says the batch is. Raises UnsupportedMedia."""
    form = FORMS.get(body.media_type(request))
    if form is None:
        raise UnsupportedMedia("Send the batch as application/x-ndjson or as application/zip.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("Send the body without Content-Encoding.")
    return form


async def receive(request: Request, desk: Desk, draft: Draft, spool: Spool) -> None:
    """Writes the whole body to the draft. A body that is cut short ends the request, and nothing is begun.

    spool: where it will lie. Raises BodyTooLarge as soon as it is, SlowBody, Crowded when too many are on their way,
    Busy without room.
    """
    limit = desk.settings.max_batch_bytes
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise _too_large(limit)
    held = Held(desk.uploads)
    facts_of(request).at_end.append(held.give_back)
    held.take(1)
    if len(await desk.on_spool(spool.held)) >= MOST_FILES:
        raise Busy("Too many batches are waiting: try again when some of them have ended.")
    size = 0
    try:
        async for piece in _pieces(request, desk):
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            await desk.on_spool(draft.write, piece)
    except OSError as e:
        if e.errno == errno.ENOSPC:
            raise Busy("The disk has no room for the batch: try again later, or send it in smaller parts.") from e
        raise


async def _pieces(request: Request, desk: Desk) -> AsyncIterator[bytes]:
    """The body in pieces of about a megabyte. Raises SlowBody."""
    settings = desk.settings
    end = anyio.current_time() + settings.batch_timeout_s
    chunks = aiter(request.stream())
    gathered = bytearray()
    while True:
        try:
            with anyio.fail_after(min(settings.body_timeout_s, max(0.0, end - anyio.current_time()))):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise SlowBody("The batch came too slowly: use a better connection, or send it in parts.") from None
        gathered += chunk or b""
        if gathered and (chunk is None or len(gathered) >= PIECE_BYTES):
            yield bytes(gathered)
            gathered.clear()
        if chunk is None:
            return


def read_line(line: bytes, defaults: Mapping[str, Any], most_bytes: int) -> tuple[bytes, Enrolment]:
    """One line of a batch: a photo and what POST /enroll takes beside it; defaults: of fields that it does not name.

    Raises Malformed, InvalidField, UnreadableImage, ImageTooLarge.
    """
    sent = FORM.from_object({**defaults, **body.parse_object(line)}, most_bytes)
    return sent.images["image"], Enrolment(**sent.fields)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The batch has more than {limit} bytes: send it in parts.")
