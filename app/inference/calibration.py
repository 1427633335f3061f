"""The operating points that are served: those of the home's own photos, else those shipped beside the weights."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from app.domain.likelihood import Likelihood, Trial
from app.domain.operating_point import MEASURED, Calibration, OperatingPoint
from app.errors import Misconfigured
from models import weights
from models.errors import WeightsError
from models.measure import operating_points as measured

OWN_FILE = "calibration.json"
_WAY_OUT = "measure them with `onelook evaluate operating-points --write`, or install the distribution again"
_OWN_WAY_OUT = "run `onelook calibrate` again, or delete the file to have the thresholds that are shipped"


def load(model: str, model_id: str, home: Path | None = None) -> Calibration:
    """The calibration of that very model: the home's own where it has one, else what is shipped. Read-only.

    Raises Misconfigured when neither is there, or the one to be taken is not whole: a damaged file of the home's own is
    not passed over, for other thresholds would be served than somebody chose.
    """
    if home is not None and (path := home / OWN_FILE).exists():
        of_model = _read(path, _OWN_WAY_OUT).get(model_id)
        if of_model is not None:
            return _calibration(path, model_id, of_model, _OWN_WAY_OUT, own=True)
    path = weights.calibration_of(model)
    of_model = _read(path, _WAY_OUT).get(model_id)
    if of_model is None:
        raise Misconfigured(f"{path.name} holds no thresholds for {model_id}: {_WAY_OUT}")
    return _calibration(path, model_id, of_model, _WAY_OUT, own=False)


def served(calibration: measured.Calibration) -> Calibration:
    """The same as it would be served from the home."""
    of_model = json.loads(measured.as_text([calibration]))[calibration.model_id]
    return _calibration(Path(OWN_FILE), calibration.model_id, of_model, _OWN_WAY_OUT, own=True)


def keep(home: Path, calibration: measured.Calibration) -> Path:
    """Writes the home's own calibration of one model, those of others stay; the file. It is taken at the next start.

    Written aside and renamed: a stop in between leaves the old one. A file that cannot be read is replaced.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = home / OWN_FILE
    try:
        held = measured.read_calibrations(path)
    except (OSError, ValueError):
        held = {}
    aside = path.with_name(f".{path.name}.part")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write(measured.as_text({**held, calibration.model_id: calibration}.values()))
        out.flush()
        os.fsync(out.fileno())
    aside.replace(path)
    return path


def _read(path: Path, way_out: str) -> dict[str, Any]:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise Misconfigured(f"{path.name} holds no thresholds: {way_out}") from e
    if not isinstance(held, dict):
        raise Misconfigured(f"{path.name} holds no thresholds: {way_out}")
    return held


def _calibration(path: Path, model_id: str, of_model: dict[str, Any], way_out: str, *, own: bool) -> Calibration:
    try:
        verification, identification, between = (
            tuple(_point(p) for p in points)
            for points in (of_model["verification"], of_model["identification"], of_model.get("between", ()))
        )
        likelihood = _likelihood(of_model.get("likelihood"))
        sample = str(of_model.get("sample", {}).get("name", ""))
    except (TypeError, KeyError, ValueError, AttributeError) as e:
        raise Misconfigured(
            f"{path.name} holds thresholds for {model_id} that are no operating points: {way_out}"
        ) from e
    if not _whole(verification, identification):
        raise Misconfigured(
            f"{path.name} lacks a measured threshold for 1:1, or for a size of gallery, of {model_id}: {way_out}"
        )
    return Calibration(model_id, verification, identification, between, likelihood, sample, own)


def of_model(model_id: str, home: Path | None = None) -> Calibration:
    """That of the encoder that the id names. Raises Misconfigured where its weights are not here, or no points are."""
    try:
        name, _ = weights.named(model_id)
    except WeightsError as e:
        raise Misconfigured(str(e)) from e
    return load(name, model_id, home)


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


def _likelihood(fields: dict[str, Any] | None) -> Likelihood | None:
    if fields is None:
        return None
    knots = tuple((float(at), float(odds)) for at, odds in fields["knots"])
    return Likelihood(**{**fields, "knots": knots, "trials": tuple(Trial(**trial) for trial in fields["trials"])})
