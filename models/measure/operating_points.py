"""Operating points and their file: `{model_id: calibration}` as JSON, the same bytes for the same points."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.measure.intervals import Interval
from models.measure.likelihood import Likelihood, Trial

MEASURED, EXTRAPOLATED = "measured", "extrapolated"


@dataclass(frozen=True, slots=True)
class Point:
    """A threshold and what is known of it; the fields are those of the service's operating point.

    kind: `fmr` or `fpir`; target: the rate asked for; measured: the rate found at the threshold; interval: 95 % over
    people, of that rate, or of the fitted tail's where support is `extrapolated`; persons: people in the sample;
    impostors, genuine: comparisons (1:1) or searches (1:K) of each kind; miss: share of genuine ones that fail.
    """

    name: str
    kind: str
    target: float
    threshold: float
    support: str
    measured: float
    interval: Interval
    persons: int
    impostors: int
    genuine: int
    gallery_size: int | None
    miss: float
    model_id: str


@dataclass(frozen=True, slots=True)
class Origin:
    """The sample: its name, its people and photos, those without a face included, and the seed of all that is drawn."""

    name: str
    people: int
    photos: int
    photos_without_face: int
    templates_per_person: int
    seed: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """All operating points of one model on one sample.

    between: 1:K points at targets between those of `identification`, for promises; likelihood: what a similarity says
    of a match, None where too few people came twice. Files of earlier versions have neither.
    """

    model_id: str
    sample: Origin
    verification: tuple[Point, ...]
    identification: tuple[Point, ...]
    between: tuple[Point, ...] = ()
    likelihood: Likelihood | None = None


def write_calibrations(file: Path, calibrations: Iterable[Calibration]) -> None:
    """Writes the file anew."""
    file.write_text(as_text(calibrations), encoding="utf-8")


def read_calibrations(file: Path) -> dict[str, Calibration]:
    """Model id -> calibration. Raises FileNotFoundError, and ValueError when it is no such file."""
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        return {model_id: _calibration(one) for model_id, one in held.items()}
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as e:
        raise ValueError(f"{file.name} holds no operating points: write it with `onelook evaluate`") from e


def as_text(calibrations: Iterable[Calibration]) -> str:
    """What `write_calibrations` writes, sorted by model id."""
    by_model = {c.model_id: asdict(c) for c in sorted(calibrations, key=lambda c: c.model_id)}
    return json.dumps(by_model, indent=2, allow_nan=False) + "\n"


def _calibration(held: dict[str, Any]) -> Calibration:
    return Calibration(
        model_id=held["model_id"],
        sample=Origin(**held["sample"]),
        verification=tuple(_point(p) for p in held["verification"]),
        identification=tuple(_point(p) for p in held["identification"]),
        between=tuple(_point(p) for p in held.get("between", ())),
        likelihood=_likelihood(held["likelihood"]) if held.get("likelihood") else None,
    )


def _likelihood(held: dict[str, Any]) -> Likelihood:
    knots = tuple((float(at), float(odds)) for at, odds in held["knots"])
    return Likelihood(**{**held, "knots": knots, "trials": tuple(Trial(**trial) for trial in held["trials"])})


def _point(held: dict[str, Any]) -> Point:
    low, high = held["interval"]
    return Point(**{**held, "interval": (low, high)})
