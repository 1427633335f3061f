"""GET /calibration: every operating point, with what it was measured on."""

from fastapi import APIRouter, Request, Response
from typing_extensions import TypedDict

from app.domain.likelihood import Likelihood
from app.domain.operating_point import OperatingPoint
from app.routes import body
from app.routes.answers import PointBody, answer, point_body
from app.routes.described import refusals
from app.routes.desk import desk_of


class CalibratedBody(PointBody):
    """An operating point; miss: the share of rightful attempts below the threshold on the same sample."""

    threshold: float
    miss: float


class TrialBody(TypedDict):
    """One way to fit the probability, and its Brier scores on people who were not fitted on."""

    method: str
    verification: float
    identification: float


class LikelihoodBody(TypedDict):
    """What `probability` stands on; knots: similarity and log-odds at the prior, the better trial first."""

    method: str
    prior: float
    knots: list[list[float]]
    people: int
    twice: int
    genuine: int
    impostors: int
    trials: list[TrialBody]


class CalibrationBody(TypedDict):
    """1:1 and 1:K, as measured for one model.

    sample: what it was measured on; own: whether that were photos of this home; between: points for promises.
    """

    model_id: str
    sample: str
    own: bool
    verification: list[CalibratedBody]
    identification: list[CalibratedBody]
    between: list[CalibratedBody]
    probability: LikelihoodBody | None


router = APIRouter(tags=["operations"])


@router.get("/calibration", response_model=CalibrationBody, responses=refusals("invalid_field"))
async def get_calibration(request: Request) -> Response:
    """The operating points that are served."""
    body.no_query(request)
    calibration = desk_of(request).calibration
    shown: CalibrationBody = {
        "model_id": calibration.model_id,
        "sample": calibration.sample,
        "own": calibration.own,
        "verification": [_calibrated(point) for point in calibration.verification],
        "identification": [_calibrated(point) for point in calibration.identification],
        "between": [_calibrated(point) for point in calibration.between],
        "probability": None if calibration.likelihood is None else _likelihood(calibration.likelihood),
    }
    return answer(shown)


def _likelihood(likelihood: Likelihood) -> LikelihoodBody:
    return {
        "method": likelihood.method,
        "prior": likelihood.prior,
        "knots": [list(knot) for knot in likelihood.knots],
        "people": likelihood.people,
        "twice": likelihood.twice,
        "genuine": likelihood.genuine,
        "impostors": likelihood.impostors,
        "trials": [
            {"method": t.method, "verification": t.verification, "identification": t.identification}
            for t in likelihood.trials
        ],
    }


def _calibrated(point: OperatingPoint) -> CalibratedBody:
    return {**point_body(point), "threshold": point.threshold, "miss": point.miss}
