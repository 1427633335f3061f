"""/style-jobs: pictures, sounds, volumes and points in the style of others, as jobs that outlive the connection."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from app.actions.style.find import StyleFile, state_of
from app.actions.style.submit import Also, Submission
from app.domain.job import STATUSES
from app.domain.style_job import StyleJob
from app.ports import UnitOfWork
from app.routes import body, style_body, style_events
from app.routes.access import bound_to, caller
from app.routes.answers import answer
from app.routes.described import Responses, refusals
from app.routes.desk import desk_of
from app.routes.event_stream import MEDIA_TYPE as EVENTS
from app.routes.facts import facts_of
from app.routes.fields import Field, Fields
from app.routes.image_body import Sent
from app.routes.kinds import choice, whole
from app.routes.once import PARAMETER, Answered, Keep, once
from app.routes.pages import CURSOR, LIMIT, after, page
from app.routes.style_job_body import StyleBody, StylePageBody, path_of, tagged
from app.routes.style_job_body import style_body as shown

LIST = Fields(Field("status", choice(*STATUSES), "only jobs of that status"), LIMIT, CURSOR)
RESUME = Fields(Field("steps", whole(0, 20_000), "how many steps more", required=True))
PREVIEW = Fields(Field("step", whole(0, 999_999_999), "says nothing: a browser looks again where it changes"))
PIECE_BYTES = 256 * 1024

router = APIRouter(tags=["style"])
_JSON = {"schema": {"type": "object", "properties": RESUME.properties(), "additionalProperties": False}}
_OF_A_RENDER = (
    *("unsupported_media", "unreadable_image", "unreadable_media", "too_many_pixels", "invalid_option", "too_large"),
    *("queue_full", "unknown_person", "idempotency_conflict", "in_progress"),
)


def _file(*types: str, also: Responses) -> Responses:
    content = {one: {"schema": {"type": "string", "format": "binary"}} for one in types}
    return {200: {"description": "The file", "content": content}, **also}


@router.post(
    "/style-jobs",
    status_code=202,
    response_model=StyleBody,
    responses=refusals(*_OF_A_RENDER, body=True),
    openapi_extra={"parameters": [PARAMETER], "requestBody": style_body.openapi()},
)
async def submit(request: Request) -> Response:
    """Looks at the files and options, and queues a render of them; each call makes a job of its own."""
    desk, key, within = desk_of(request), caller(request), bound_to(request)
    sent = await style_body.receive(request, desk)
    submission = Submission(sent.content, sent.styles, sent.options, sent.person_id)

    async def work(keep: Keep) -> Answered:
        taken = _Taken(keep, sent.person_id)
        await desk.on_renders(desk.submit_style, submission, key.id, within=within, also=taken.note)
        return taken.answered()

    return await once(request, desk, sent.as_sent(), work)


@router.get(
    "/style-jobs",
    response_model=StylePageBody,
    responses=refusals("invalid_field", "malformed"),
    openapi_extra={"parameters": LIST.parameters()},
)
async def list_jobs(request: Request) -> Response:
    """The key's own jobs, the newest first; everybody's for an admin."""
    desk = desk_of(request)
    asked = LIST.from_texts(body.query(request))
    found = await desk.on_rows(
        desk.list_style,
        caller(request),
        status=asked["status"],
        before=after(asked["cursor"]),
        limit=asked["limit"] + 1,
    )
    return answer(page(found, asked["limit"], lambda state: state.job.id, shown))


@router.get(
    "/style-jobs/{job_id}",
    response_model=StyleBody,
    responses={304: {"description": "Nothing changed"}, **refusals("unknown_job", "invalid_field")},
)
async def get_job(request: Request, job_id: str) -> Response:
    """How far a render has come. Only the key that sent it, or an admin, sees it."""
    body.no_query(request)
    desk = desk_of(request)
    return tagged(request, await desk.on_rows(desk.find_style, job_id, caller(request)))


@router.get(
    "/style-jobs/{job_id}/preview",
    response_class=Response,
    responses=_file("image/jpeg", "image/png", also=refusals("unknown_job", "not_ended", "invalid_field")),
    openapi_extra={"parameters": PREVIEW.parameters()},
)
async def get_preview(request: Request, job_id: str) -> Response:
    """The render as it last looked."""
    PREVIEW.from_texts(body.query(request))
    desk = desk_of(request)
    found = await desk.on_rows(desk.open_style, job_id, caller(request), "preview")
    return _sent_as(request, found, "inline", f"{job_id}-{found.facts['step']}")


@router.get(
    "/style-jobs/{job_id}/result",
    response_class=Response,
    responses=_file("application/octet-stream", also=refusals("unknown_job", "not_ended", "invalid_field")),
)
async def get_result(request: Request, job_id: str) -> Response:
    """The file that was rendered; 409 until then."""
    body.no_query(request)
    desk = desk_of(request)
    found = await desk.on_rows(desk.open_style, job_id, caller(request), "output")
    return _sent_as(request, found, "attachment", job_id)


@router.get(
    "/style-jobs/{job_id}/events",
    response_class=Response,
    responses={
        200: {"description": "Server-sent events", "content": {EVENTS: {"schema": {"type": "string"}}}},
        204: {"description": "The caller has the last event of a job that has ended"},
        **refusals("unknown_job", "invalid_field"),
    },
    openapi_extra={"parameters": [style_events.PARAMETER]},
)
async def get_events(request: Request, job_id: str) -> Response:
    """What happens to the render, as it happens; after `Last-Event-ID` what followed that."""
    body.no_query(request)
    return await style_events.stream(request, job_id)


@router.post(
    "/style-jobs/{job_id}/cancel", response_model=StyleBody, responses=refusals("unknown_job", "invalid_field")
)
async def cancel(request: Request, job_id: str) -> Response:
    """Stops a render after the step at hand; again: the same."""
    body.no_query(request)
    desk = desk_of(request)
    return answer(shown(await desk.on_writes(desk.cancel_style, job_id, caller(request))))


@router.post(
    "/style-jobs/{job_id}/resume",
    status_code=202,
    response_model=StyleBody,
    responses=refusals("unknown_job", "not_ended", *_OF_A_RENDER, body=True),
    openapi_extra={"parameters": [PARAMETER], "requestBody": {"required": True, "content": {body.JSON: _JSON}}},
)
async def resume(request: Request, job_id: str) -> Response:
    """A new job, which goes on from where one that has ended was, for so many steps more."""
    desk, key, within = desk_of(request), caller(request), bound_to(request)
    asked = RESUME.from_object(await body.read_object(request, desk))

    async def work(keep: Keep) -> Answered:
        taken = _Taken(keep)
        await desk.on_renders(desk.resume_style, job_id, key, asked["steps"], within=within, also=taken.note)
        return taken.answered()

    return await once(request, desk, Sent({}, asked), work)


@router.delete("/style-jobs/{job_id}", status_code=204, responses=refusals("unknown_job", "invalid_field"))
async def remove(request: Request, job_id: str) -> Response:
    """Deletes a render with its files; one that is worked on is stopped."""
    body.no_query(request)
    desk = desk_of(request)
    await desk.on_writes(desk.remove_style, job_id, caller(request))
    return Response(status_code=204)


class _Taken:
    """The answer to a job that is taken, made and kept in the transaction that takes it. Fits `submit.Also`."""

    def __init__(self, keep: Keep, *person_ids: str | None) -> None:
        self._keep = keep
        self._persons = [one for one in person_ids if one is not None]
        self._answer: Response | None = None
        self.note: Also = self._note

    def _note(self, uow: UnitOfWork, job: StyleJob) -> None:
        self._answer = answer(shown(state_of(uow, job)), 202, {"Location": path_of(job.id)})
        self._persons = [*self._persons, *([] if job.person_id is None else [job.person_id])]
        self._keep(uow, self._answer, sorted(set(self._persons)))

    def answered(self) -> Answered:
        """What `_note` made."""
        assert self._answer is not None, "the job was taken"
        return Answered(self._answer, self._persons)


def _sent_as(request: Request, found: StyleFile, how: str, stem: str) -> Response:
    """The file, a piece at a time; closed whatever becomes of the request."""
    facts_of(request).at_end.append(found.file.close)
    facts: dict[str, Any] = {**found.facts}
    suffix = facts.get("suffix") or _SUFFIXES.get(facts["media_type"], "")
    headers = {
        "Content-Length": str(facts["bytes"]),
        "Content-Disposition": f'{how}; filename="{stem}{suffix}"',
        "ETag": f'"{facts["sha256"][:32]}"',
    }
    return StreamingResponse(_pieces(found.file), headers=headers, media_type=facts["media_type"])


_SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png"}


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        yield piece
