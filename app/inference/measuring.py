"""The library's calibration behind the action that measures labelled photos."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from app.domain.face import Vector
from app.errors import InvalidField
from models.measure.calibrate import calibrate
from models.measure.operating_points import MEASURED
from models.measure.sample import Sample

SEED = 1


def measure(faces: Sequence[Vector | None], labels: Sequence[str], name: str, model_id: str) -> Mapping[str, Any]:
    """Every operating point that these photos support: `sample`, `verification` and `identification`, as JSON takes it.

    faces: float32 (128,) of unit length, made by `model_id`, None for a photo without one, which counts as missed.
    Raises InvalidField where they support none.
    """
    try:
        measured = calibrate(Sample.of(faces, labels), model_id=model_id, name=name, seed=SEED)
    except ValueError as e:
        raise InvalidField("photos", f"No threshold can be measured on these photos: {e}.") from e
    if not any(point.support == MEASURED for point in measured.verification):
        raise InvalidField("photos", "They show too few people for any false match rate: bring more people.")
    return asdict(measured)
