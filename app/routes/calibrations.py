"""/calibrations: thresholds measured on labelled photos, as a job."""

from typing import Any

import anyio
from fastapi import APIRouter, Request, Response

from app.actions.jobs import JobState
from app.domain.particulars import LONGEST_NAME
from app.errors import UnsupportedMedia
from app.routes import body
from app.routes.access import caller
from app.routes.answers import answer
from app.routes.batch_body import form_of, receive
from app.routes.described import refusals
from app.routes.desk import desk_of
from app.routes.fields import Field, Fields
from app.routes.job_body import JobBody, JobUrlsBody, job_body
from app.routes.kinds import text

SUBMIT = Fields(Field("name", text(LONGEST_NAME), "what the sample is called", default="photos that were sent"))
ZIPS = ("application/zip", "application/x-zip-compressed")


class CalibrationJobBody(JobBody):
    """A job whose steps are photos. calibration: what was measured, once it has succeeded, null before."""

    name: str
    calibration: dict[str, Any] | None
    urls: JobUrlsBody


router = APIRouter(tags=["operations"])
_FILE = {"schema": {"type": "string", "format": "binary"}}


@router.post(
    "/calibrations",
    status_code=202,
    response_model=CalibrationJobBody,
    responses=refusals(body=True),
    openapi_extra={
        "parameters": SUBMIT.parameters(),
        "requestBody": {"required": True, "content": dict.fromkeys(ZIPS, _FILE)},
    },
)
async def submit_calibration(request: Request) -> Response:
    """Takes a zip of `person/photo.jpg`; the photos are read, measured and deleted."""
    desk, key = desk_of(request), caller(request)
    if form_of(request) != "zip":
        raise UnsupportedMedia("Send the photos as application/zip.")
    asked = SUBMIT.from_texts(body.query(request))
    draft = await desk.on_spool(desk.calibration_spool.draft, "zip")
    try:
        await receive(request, desk, draft, desk.calibration_spool)
        parameters = {"form": "zip", "name": asked["name"]}
        # One that has ended is measured again: the model may be another one by now.
        job = await desk.on_spool(desk.submit_calibration, draft, key.id, parameters, retry=True)
        desk.calibrations_due.set()
    finally:
        # Also when the request is cancelled: the draft holds photos.
        with anyio.CancelScope(shield=True):
            await desk.on_spool(draft.discard)
    state = await desk.on_rows(desk.find_calibration, job.id, key)
    return answer(_body(state), 202, {"Location": f"/calibrations/{job.id}"})


@router.get(
    "/calibrations/{job_id}", response_model=CalibrationJobBody, responses=refusals("unknown_job", "invalid_field")
)
async def get_calibration_job(request: Request, job_id: str) -> Response:
    """How far it has come, and what was measured. Only the key that sent it, or an admin, sees it."""
    body.no_query(request)
    desk = desk_of(request)
    return answer(_body(await desk.on_rows(desk.find_calibration, job_id, caller(request))))


@router.post(
    "/calibrations/{job_id}/cancel",
    response_model=CalibrationJobBody,
    responses=refusals("unknown_job", "invalid_field"),
)
async def cancel_calibration(request: Request, job_id: str) -> Response:
    """Stops it, and deletes the photos."""
    body.no_query(request)
    desk = desk_of(request)
    return answer(_body(await desk.on_writes(desk.cancel_calibration, job_id, caller(request))))


def _body(state: JobState) -> CalibrationJobBody:
    job = state.job
    path = f"/calibrations/{job.id}"
    return {
        **job_body(job, state.eta_s),
        "name": job.parameters["name"],
        "calibration": None if job.result is None else dict(job.result),
        "urls": {"self": path, "cancel": f"{path}/cancel"},
    }
