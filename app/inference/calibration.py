"""The operating points that are shipped beside the weights."""

import json
from typing import Any

from app.domain.operating_point import MEASURED, Calibration, OperatingPoint
from app.errors import Misconfigured
from models import weights

_WAY_OUT = "measure them with `onelook evaluate operating-points --write`, or install the distribution again"


def load(model: str, model_id: str) -> Calibration:
    """The calibration of that very model. Raises Misconfigured when none, or no whole one, is shipped. Read-only."""
    path = weights.FOLDER / f"{model}.calibration.json"
    try:
        of_model = json.loads(path.read_text(encoding="utf-8"))[model_id]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise Misconfigured(f"{path.name} holds no thresholds for {model_id}: {_WAY_OUT}") from e
    try:
        points = {kind: tuple(_point(p) for p in of_model[kind]) for kind in ("verification", "identification")}
    except (TypeError, KeyError, ValueError) as e:
        raise Misconfigured(
            f"{path.name} holds thresholds for {model_id} that are no operating points: {_WAY_OUT}"
        ) from e
    if not _whole(points["verification"], points["identification"]):
        raise Misconfigured(
            f"{path.name} lacks a measured threshold for 1:1, or for a size of gallery, of {model_id}: {_WAY_OUT}"
        )
    return Calibration(model_id, points["verification"], points["identification"])


def _whole(verification: tuple[OperatingPoint, ...], identification: tuple[OperatingPoint, ...]) -> bool:
    """Whether every request without a target finds a measured point: 1:1, and 1:K at each size that is named."""
    sizes = {p.gallery_size for p in identification}
    measured = {p.gallery_size for p in identification if p.support == MEASURED}
    return any(p.support == MEASURED for p in verification) and bool(sizes) and sizes == measured - {None}


def _point(fields: dict[str, Any]) -> OperatingPoint:
    low, high = fields["interval"]
    return OperatingPoint(**{**fields, "interval": (low, high)})
