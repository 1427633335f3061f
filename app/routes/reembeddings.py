"""/reembeddings: the change to another model, as a job."""

from fastapi import APIRouter, Request, Response

from app.actions.jobs import JobState
from app.routes import body
from app.routes.access import caller
from app.routes.answers import answer
from app.routes.described import refusals
from app.routes.desk import desk_of
from app.routes.fields import Field, Fields
from app.routes.job_body import JobBody, JobUrlsBody, job_body
from app.routes.kinds import flag

SUBMIT = Fields(
    Field("without_them", flag(), "leave persons behind of whom no crop is kept: they are found no more", default=False)
)


class ReembeddingBody(JobBody):
    """A job whose steps are templates. from_model, to_model: ids of models; asked_by: the key's id, or `local`.

    Once it has succeeded: templates that were embedded, and persons of whom none was. Null before that.
    """

    from_model: str
    to_model: str
    without_them: bool
    asked_by: str
    templates: int | None
    persons_left_behind: int | None
    unreadable_crops: int | None
    urls: JobUrlsBody


router = APIRouter(tags=["operations"])
_JSON = {"schema": {"type": "object", "properties": SUBMIT.properties(), "additionalProperties": False}}


@router.post(
    "/reembeddings",
    status_code=202,
    response_model=ReembeddingBody,
    responses=refusals("already_served", "leaves_behind", "in_progress", body=True),
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": _JSON}}},
)
async def submit_reembedding(request: Request) -> Response:
    """Embeds every template anew from its kept crop, by the model that the settings name; then cuts over to it."""
    desk, key = desk_of(request), caller(request)
    asked = SUBMIT.from_object(await body.read_object(request, desk))
    job = await desk.on_writes(desk.submit_reembedding, without_them=asked["without_them"], asked_by=key.id)
    desk.reembeddings_due.set()
    state = await desk.on_rows(desk.find_reembedding, job.id, key)
    return answer(_body(state), 202, {"Location": f"/reembeddings/{job.id}"})


@router.get(
    "/reembeddings/{job_id}", response_model=ReembeddingBody, responses=refusals("unknown_job", "invalid_field")
)
async def get_reembedding(request: Request, job_id: str) -> Response:
    """How far it has come."""
    body.no_query(request)
    desk = desk_of(request)
    return answer(_body(await desk.on_rows(desk.find_reembedding, job_id, caller(request))))


@router.post(
    "/reembeddings/{job_id}/cancel",
    response_model=ReembeddingBody,
    responses=refusals("unknown_job", "invalid_field"),
)
async def cancel_reembedding(request: Request, job_id: str) -> Response:
    """Stops it before the cut-over; what was embedded stays for the next one."""
    body.no_query(request)
    desk = desk_of(request)
    return answer(_body(await desk.on_writes(desk.cancel_reembedding, job_id, caller(request))))


def _body(state: JobState) -> ReembeddingBody:
    job, result = state.job, state.job.result or {}
    path = f"/reembeddings/{job.id}"
    return {
        **job_body(job, state.eta_s),
        "from_model": job.parameters["from"],
        "to_model": job.parameters["to"],
        "without_them": job.parameters["without_them"],
        "asked_by": job.parameters["asked_by"],
        "templates": result.get("templates"),
        "persons_left_behind": result.get("persons_left_behind"),
        "unreadable_crops": result.get("unreadable_crops"),
        "urls": {"self": path, "cancel": f"{path}/cancel"},
    }
