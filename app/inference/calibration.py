"""The operating points that are shipped beside the weights."""

import json
from collections.abc import Callable
from typing import Any, cast

from app.domain.operating_point import MEASURED, Calibration, OperatingPoint
from app.errors import Misconfigured
from models import weights
from models.errors import WeightsError

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


def of_model(model_id: str) -> Calibration:
    """That of the encoder that the id names. Raises Misconfigured where its weights are not here, or no points are."""
    try:
        name, _ = weights.named(model_id)
    except WeightsError as e:
        raise Misconfigured(str(e)) from e
    return load(name, model_id)


def following(current: Callable[[], Calibration]) -> Calibration:
    """What looks like the calibration that `current` gives, whichever that is at each use."""
    return cast(Calibration, _Following(current))


class _Following:
    """Each use asks anew; what one use gives, such as a point, says itself of which model it is."""

    def __init__(self, current: Callable[[], Calibration]) -> None:
        self._current = current

    def __getattr__(self, name: str) -> Any:
        return getattr(self._current(), name)


def _whole(verification: tuple[OperatingPoint, ...], identification: tuple[OperatingPoint, ...]) -> bool:
    """Whether every request without a target finds a measured point: 1:1, and 1:K at each size that is named."""
    sizes = {p.gallery_size for p in identification}
    measured = {p.gallery_size for p in identification if p.support == MEASURED}
    return any(p.support == MEASURED for p in verification) and bool(sizes) and sizes == measured - {None}


def _point(fields: dict[str, Any]) -> OperatingPoint:
    low, high = fields["interval"]
    return OperatingPoint(**{**fields, "interval": (low, high)})
