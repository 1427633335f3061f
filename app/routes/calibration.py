"""GET /calibration: every operating point, with what it was measured on."""

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from app.domain.operating_point import OperatingPoint
from app.routes import body
from app.routes.answers import PointBody, answer, point_body
from app.routes.described import refusals
from app.routes.desk import desk_of


class CalibratedBody(PointBody):
    """An operating point; miss: the share of rightful attempts below the threshold on the same sample."""

    threshold: float
    miss: float


class CalibrationBody(TypedDict):
    """1:1 and 1:K, as measured for one model."""

    model_id: str
    verification: list[CalibratedBody]
    identification: list[CalibratedBody]


router = APIRouter(tags=["operations"])


@router.get("/calibration", response_model=CalibrationBody, responses=refusals("invalid_field"))
async def get_calibration(request: Request) -> Response:
    """The operating points that are served."""
    body.no_query(request)
    calibration = desk_of(request).calibration
    shown: CalibrationBody = {
        "model_id": calibration.model_id,
        "verification": [_calibrated(point) for point in calibration.verification],
        "identification": [_calibrated(point) for point in calibration.identification],
    }
    return answer(shown)


def _calibrated(point: OperatingPoint) -> CalibratedBody:
    return {**point_body(point), "threshold": point.threshold, "miss": point.miss}
