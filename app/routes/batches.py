"""/enroll/batch: many people at once, as a job that outlives the connection."""

from collections.abc import Mapping
from typing import Any

import anyio
from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from app.actions.batches import Batch
from app.domain.batch import STATUSES, BatchItem
from app.domain.key import Key
from app.domain.particulars import LONGEST_TEXT, MOST_GROUPS
from app.errors import InvalidField
from app.routes import body
from app.routes.access import caller
from app.routes.answers import answer
from app.routes.batch_body import FORMS, form_of, receive
from app.routes.described import refusals
from app.routes.desk import Desk, desk_of
from app.routes.enroll import ON_DUPLICATE
from app.routes.fields import Field, Fields
from app.routes.image_body import Sent
from app.routes.job_body import JobBody, job_body
from app.routes.kinds import choice, flag, text, texts
from app.routes.once import PARAMETER, Answered, Keep, once
from app.routes.pages import CURSOR, LIMIT, after, page

SUBMIT = Fields(
    Field("galleries", texts(), "galleries to be in, of every person that names none", default=()),
    Field("groups", texts(MOST_GROUPS), "groups, of every person that names none", default=()),
    Field("consent", text(LONGEST_TEXT), "the basis on which the faces are held"),
    ON_DUPLICATE,
    Field("retry", flag(), "a batch that has ended: try again what was refused", default=False),
)
LIST = Fields(Field("status", choice(*STATUSES), "only items of that status"), LIMIT, CURSOR)


class BatchUrlsBody(TypedDict):
    """Where to look further."""

    self: str
    items: str
    cancel: str


class BatchBody(JobBody):
    """A job whose steps are photos. items: how many of them have which status."""

    items: dict[str, int]
    urls: BatchUrlsBody


class ItemBody(TypedDict):
    """One photo: where it stood in the batch, and what became of it. problem: further members of the refusal."""

    number: int
    source: str
    status: str
    person_id: str | None
    template_id: str | None
    code: str | None
    detail: str | None
    problem: dict[str, Any]


class ItemsBody(TypedDict):
    """One page of items, in the order of work."""

    items: list[ItemBody]
    next_cursor: str | None


router = APIRouter(tags=["faces"])
_FILE = {"schema": {"type": "string", "format": "binary"}}


@router.post(
    "/enroll/batch",
    status_code=202,
    response_model=BatchBody,
    responses={
        200: {"model": BatchBody, "description": "A batch that was done before"},
        **refusals("unknown_gallery", "idempotency_conflict", "in_progress", body=True),
    },
    openapi_extra={
        "parameters": [*SUBMIT.parameters(), PARAMETER],
        "requestBody": {"required": True, "content": dict.fromkeys(FORMS, _FILE)},
    },
)
async def submit_batch(request: Request) -> Response:
    """Takes a zip of `person/photo.jpg`, or lines of what POST /enroll takes; the same content is the same job."""
    desk, key = desk_of(request), caller(request)
    form = form_of(request)
    asked = SUBMIT.from_texts(body.query(request))
    retry = asked.pop("retry")
    if form == "zip" and key.galleries is not None and not asked["galleries"]:
        raise InvalidField("galleries", f"The key is bound: name some of {', '.join(sorted(key.galleries))}.")
    draft = await desk.on_spool(desk.spool.draft, form)

    async def submit(keep: Keep) -> Answered:
        parameters = {"form": form, "defaults": {name: value for name, value in asked.items() if value}}
        job = await desk.on_spool(desk.submit_batch, draft, key.id, parameters, within=key.galleries, retry=retry)
        desk.batches_due.set()
        return Answered(await _shown(desk, job.id, key, 200 if job.status == "succeeded" else 202))

    try:
        await receive(request, desk, draft)
        sent = Sent({}, {**asked, "retry": retry, "form": form, "content": draft.digest})
        return await once(request, desk, sent, submit)
    finally:
        # Also when the request is cancelled: the draft holds photos.
        with anyio.CancelScope(shield=True):
            await desk.on_spool(draft.discard)


@router.get("/enroll/batch/{job_id}", response_model=BatchBody, responses=refusals("unknown_job", "invalid_field"))
async def get_batch(request: Request, job_id: str) -> Response:
    """How far a batch has come. Only the key that sent it, or an admin, sees it."""
    body.no_query(request)
    return await _shown(desk_of(request), job_id, caller(request))


@router.get(
    "/enroll/batch/{job_id}/items",
    response_model=ItemsBody,
    responses=refusals("unknown_job", "invalid_field", "malformed"),
    openapi_extra={"parameters": LIST.parameters()},
)
async def list_items(request: Request, job_id: str) -> Response:
    """What became of each photo."""
    desk, key = desk_of(request), caller(request)
    asked = LIST.from_texts(body.query(request))
    found = await desk.on_rows(
        desk.list_items,
        job_id,
        key,
        status=asked["status"],
        after=_number(after(asked["cursor"])),
        limit=asked["limit"] + 1,
    )
    return answer(page(found, asked["limit"], lambda item: str(item.number), lambda item: _item_body(item, key)))


@router.post(
    "/enroll/batch/{job_id}/cancel", response_model=BatchBody, responses=refusals("unknown_job", "invalid_field")
)
async def cancel_batch(request: Request, job_id: str) -> Response:
    """Stops a batch; what is stored stays. Sending the content again goes on where it stopped."""
    body.no_query(request)
    desk, key = desk_of(request), caller(request)
    return answer(_body(await desk.on_writes(desk.cancel_batch, job_id, key)))


async def _shown(desk: Desk, job_id: str, key: Key, status: int = 200) -> Response:
    batch = await desk.on_rows(desk.find_batch, job_id, key)
    return answer(_body(batch), status, {"Location": f"/enroll/batch/{job_id}"})


def _body(batch: Batch) -> BatchBody:
    path = f"/enroll/batch/{batch.job.id}"
    return {
        **job_body(batch.job, batch.eta_s),
        "items": {status: batch.counts.get(status, 0) for status in STATUSES},
        "urls": {"self": path, "items": f"{path}/items", "cancel": f"{path}/cancel"},
    }


def _item_body(item: BatchItem, key: Key) -> ItemBody:
    members: Mapping[str, Any] = item.members or {}
    # Whom a refused face looks like is told only to a key that may recognize people.
    hidden = item.status == "refused" and not key.holds("identify")
    return {
        "number": item.number,
        "source": item.source,
        "status": item.status,
        "person_id": None if hidden else item.person_id,
        "template_id": item.template_id,
        "code": item.code,
        "detail": item.detail,
        "problem": {name: value for name, value in members.items() if not (hidden and name == "similarity")},
    }


def _number(cursor: str | None) -> int:
    if cursor is None:
        return -1
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 10):
        raise InvalidField("cursor", "Send next_cursor as the page before gave it, or leave it out.")
    return int(cursor)
