"""The operating points that are shipped beside the weights."""

import json
from typing import Any

from app.domain.operating_point import Calibration, OperatingPoint
from app.errors import Misconfigured
from models import weights


def load(model: str, model_id: str) -> Calibration:
    """The calibration of that very model. Raises Misconfigured when none was measured for it. Read-only."""
    path = weights.FOLDER / f"{model}.calibration.json"
    try:
        of_model = json.loads(path.read_text(encoding="utf-8"))[model_id]
    except (OSError, ValueError, KeyError) as e:
        raise Misconfigured(
            f"{path.name} holds no thresholds for {model_id}: measure them with "
            "`onelook evaluate operating-points --write`, or install the distribution again"
        ) from e
    points = {kind: tuple(_point(p) for p in of_model[kind]) for kind in ("verification", "identification")}
    return Calibration(model_id, points["verification"], points["identification"])


def _point(fields: dict[str, Any]) -> OperatingPoint:
    return OperatingPoint(**{**fields, "interval": tuple(fields["interval"])})
