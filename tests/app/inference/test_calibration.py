"""The shipped thresholds: there for what is served, and only for that."""

import json
from pathlib import Path

import pytest

from app.domain.operating_point import EXTRAPOLATED, MEASURED
from app.errors import Misconfigured, UnsupportedTarget
from app.inference.calibration import load
from models import weights


@pytest.mark.parametrize("flip", [False, True])
def test_thresholds_are_shipped_for_both_settings_of_flip_averaging(flip: bool) -> None:
    calibration = load("sface", weights.model_id(flip=flip))
    assert {p.target for p in calibration.verification if p.support == MEASURED} >= {1e-2, 1e-3}
    for point in (*calibration.verification, *calibration.identification):
        assert point.model_id == weights.model_id(flip=flip)
        assert -1 < point.threshold < 1
        assert point.interval[0] <= point.measured <= point.interval[1]
        assert min(point.persons, point.impostors, point.genuine) > 0


def test_a_tighter_target_and_a_larger_gallery_never_lower_the_threshold() -> None:
    calibration = load("sface", weights.model_id(flip=True))
    ones = sorted(calibration.verification, key=lambda p: p.target)
    assert [p.threshold for p in ones] == sorted((p.threshold for p in ones), reverse=True)
    for target in (0.1, 0.01):
        of_target = [p for p in calibration.identification if p.target == target]
        by_size = sorted(of_target, key=lambda p: p.gallery_size or 0)
        assert len(by_size) >= 4
        assert [p.threshold for p in by_size] == sorted(p.threshold for p in by_size)


def test_no_threshold_of_another_model_is_taken() -> None:
    with pytest.raises(Misconfigured, match="sface-000000000000"):
        load("sface", "sface-000000000000")


def test_a_damaged_file_is_misconfigured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sface.calibration.json").write_text("{", encoding="utf-8")
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    with pytest.raises(Misconfigured):
        load("sface", "sface-e8c913a8e78b")


def test_an_extrapolated_target_is_refused_unless_it_is_accepted() -> None:
    calibration = load("sface", weights.model_id(flip=True))
    beyond = min(p.target for p in calibration.verification if p.support == EXTRAPOLATED)
    with pytest.raises(UnsupportedTarget):
        calibration.for_verification(beyond)
    assert calibration.for_verification(beyond, accept_extrapolated=True).support == EXTRAPOLATED
    with pytest.raises(UnsupportedTarget):
        calibration.for_verification(1e-9, accept_extrapolated=True)


def test_the_file_says_what_it_was_measured_on() -> None:
    held = json.loads((weights.FOLDER / "sface.calibration.json").read_text(encoding="utf-8"))
    for of_model in held.values():
        assert "peopleDevTest" in of_model["sample"]["name"]
        assert of_model["sample"]["people"] > 1000


def without(of_model: dict, kind: str, *, size: int | None) -> None:
    for point in of_model[kind]:
        if point["gallery_size"] == size:
            point["support"] = EXTRAPOLATED


DAMAGE = {
    "no points of 1:1": lambda held: held.update(verification=[]),
    "no points of 1:K": lambda held: held.update(identification=[]),
    "nothing measured for 1:1": lambda held: without(held, "verification", size=None),
    "nothing measured for a size": lambda held: without(held, "identification", size=100),
    "a missing kind": lambda held: held.pop("identification"),
    "a missing field": lambda held: held["verification"][0].pop("miss"),
    "a field too many": lambda held: held["verification"][0].update(surprise=1),
    "no interval": lambda held: held["verification"][0].update(interval=None),
    "half an interval": lambda held: held["verification"][0].update(interval=[0.1]),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_calibration_that_could_not_answer_is_misconfigured(damage, tmp_path: Path, monkeypatch) -> None:
    model_id = weights.model_id(flip=True)
    held = json.loads((weights.FOLDER / "sface.calibration.json").read_text(encoding="utf-8"))
    damage(held[model_id])
    (tmp_path / "sface.calibration.json").write_text(json.dumps(held), encoding="utf-8")
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    with pytest.raises(Misconfigured, match="measure them with"):
        load("sface", model_id)
